"""The CNNs that turn a frame into a feature vector: torchvision's, without their classifier."""

from typing import Literal, get_args

import torchvision
from torch import nn

from pipeline.networks.backbones.transform import Transform

Name = Literal["resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "efficientnet_b5"]
NAMES: tuple[str, ...] = get_args(Name)


def build_cnn(name: str) -> nn.Module:
    """A CNN with untrained weights: images (B, 3, H, W) float to features (B, D) float.

    D is 512 for ResNet-18 and 34, 2048 for the others: the average over the last feature map.

    Raises:
        ValueError: The name is none of NAMES.
    """
    if name not in NAMES:
        raise ValueError(f"unknown backbone {name!r}; allowed: {', '.join(NAMES)}")
    network: nn.Module = torchvision.models.get_model(name, weights=None)
    setattr(network, classifier_of(name), nn.Identity())
    return network


def classifier_of(name: str) -> str:
    """The name of the part that torchvision's network uses to classify ImageNet."""
    return "classifier" if name.startswith("efficientnet") else "fc"


def feature_size(name: str) -> int:
    """D, the length of the feature vector."""
    return 512 if name in ("resnet18", "resnet34") else 2048


def transform_of(preset: object) -> Transform:
    """Our Transform from the preset that belongs to a torchvision weight."""
    values = vars(preset)
    return Transform(
        resize_px=values["resize_size"][0],
        crop_px=values["crop_size"][0],
        interpolation=values["interpolation"].value,
        mean=tuple(values["mean"]),
        std=tuple(values["std"]),
    )
