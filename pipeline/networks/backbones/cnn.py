"""Until the other rooms build on the contract: the CNNs as they were called."""

import torch
from torch import nn

from pipeline.networks.backbones import build_backbone, names
from pipeline.networks.backbones.torchvision_weights import transform_of

NAMES = tuple(names())
__all__ = ["NAMES", "build_cnn", "classifier_of", "feature_size", "transform_of"]


def build_cnn(name: str) -> nn.Module:
    """The network alone."""
    return build_backbone(name).network


def classifier_of(name: str) -> str:
    """The classifier's name."""
    with torch.device("meta"):
        return build_backbone(name).classifier_keys[0].rstrip(".")


def feature_size(name: str) -> int:
    """Length of the feature vector."""
    with torch.device("meta"):
        return build_backbone(name).dim
