"""Checkpoints laid out as they were released; the tensors have shapes and no numbers."""

import argparse
import re

import numpy as np
import torch

from pipeline.networks.backbones.timm_models import _made


def shapes_of(network):
    """Names and empty tensors of a network, as its state_dict has them."""
    return {
        name: torch.empty(tensor.shape, dtype=tensor.dtype, device="meta")
        for name, tensor in network.state_dict().items()
    }


def timm_shapes(name):
    with torch.device("meta"):
        return shapes_of(_made(name))


def empty(*shape):
    return torch.empty(shape, device="meta")


def prefixed(prefix, tensors):
    return {prefix + name: tensor for name, tensor in tensors.items()}


def dino_state(teacher):
    """A training state of DINO's code, from which many others descend."""
    student = {f"module.{name}": tensor for name, tensor in teacher.items()}
    options = argparse.Namespace(arch="vit_base", epochs=100, lr=0.0005)
    return {"student": student, "teacher": teacher, "epoch": 100, "args": options}


def vissl_state(trunk):
    """A training state of VISSL, with the numbers that it logs."""
    model = {"trunk": prefixed("_feature_blocks.", trunk), "heads": {"0.clf.0.weight": empty(7, 8)}}
    return {
        "phase_idx": 60,
        "loss": np.float64(0.31),
        "classy_state_dict": {
            "base_model": {"model": model, "meters": None},
            "losses": [np.float32(1.5), np.int64(3)],
            "train": np.bool_(True),
        },
    }


def metaformer(timm):
    """The names of MetaFormer's authors, whose 1 x 1 convolutions are linear layers."""
    rules = (
        (r"^stem\.norm", "downsample_layers.0.post_norm"),
        (r"^stem\.", "downsample_layers.0."),
        (r"^stages\.(\d)\.downsample\.norm", r"downsample_layers.\1.pre_norm"),
        (r"^stages\.(\d)\.downsample\.", r"downsample_layers.\1."),
        (r"^stages\.(\d)\.blocks\.", r"stages.\1."),
        (r"^head\.norm", "norm"),
    )
    return {
        name: tensor.flatten(1) if tensor.shape[2:] == (1, 1) else tensor
        for name, tensor in _renamed(timm, rules).items()
    }


def convnextv2(timm):
    """The names of ConvNeXt V2's authors."""
    rules = (
        (r"^stem\.", "downsample_layers.0."),
        (r"^stages\.(\d)\.downsample\.", r"downsample_layers.\1."),
        (r"^stages\.(\d)\.blocks\.", r"stages.\1."),
        (r"conv_dw", "dwconv"),
        (r"mlp\.grn\.weight", "grn.gamma"),
        (r"mlp\.grn\.bias", "grn.beta"),
        (r"mlp\.fc", "pwconv"),
        (r"^head\.norm", "norm"),
    )
    return {
        name: tensor.reshape(1, 1, 1, -1) if ".grn." in name else tensor
        for name, tensor in _renamed(timm, rules).items()
    }


def pvtv2(timm):
    """The names of PVT v2's authors, whose stages count from 1."""
    found = {}
    for name, tensor in timm.items():
        name = name.replace("patch_embed.", "patch_embed1.").replace(".dwconv.", ".dwconv.dwconv.")
        if stage := re.match(r"^stages\.(\d)\.(downsample|blocks|norm)\.?", name):
            part = {"downsample": "patch_embed", "blocks": "block", "norm": "norm"}[stage[2]]
            name = f"{part}{int(stage[1]) + 1}.{name[stage.end() :]}"
        found[name] = tensor
    return found


def _renamed(tensors, rules):
    found = {}
    for name, tensor in tensors.items():
        for pattern, new in rules:
            name = re.sub(pattern, new, name)
        found[name] = tensor
    return found
