"""The EfficientNets of other sizes, and EfficientNetV2, whose first stages use full convolutions.

Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", ICML 2019,
and "EfficientNetV2: Smaller Models and Faster Training", ICML 2021. torchvision's networks.
"""

from dataclasses import replace

from pipeline.networks.backbones import efficientnet
from pipeline.networks.backbones.contract import Backbone, PublishedWeights

NAMES: tuple[str, ...] = (
    *(f"efficientnet_b{size}" for size in (0, 1, 2, 3, 4, 6, 7)),
    *(f"efficientnet_v2_{size}" for size in "sml"),
)


def build(name: str) -> Backbone:
    """An untrained EfficientNet; its features are the average over the last feature map."""
    # Activations of untrained ones all but vanish, so that int8 could not be tried on them.
    return replace(efficientnet.build(name), in_full=None)


def published(name: str) -> dict[str, PublishedWeights]:
    """The weights that torchvision publishes."""
    return efficientnet.published(name)
