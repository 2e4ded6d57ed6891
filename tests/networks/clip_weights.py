"""Backbones with given weights, and how near their features must be."""

import torch

from pipeline.backbone.weights import fit_to
from pipeline.networks.backbones import build_backbone


def with_weights(name, tensors):
    backbone = build_backbone(name)
    backbone.network.load_state_dict(fit_to(name, tensors, "a file"))
    backbone.network.eval()
    return backbone


def close(found, expected):
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
