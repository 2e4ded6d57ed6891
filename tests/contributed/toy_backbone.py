"""Mean colours of a grid: the least that a backbone can be."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.networks.backbones.contract import Backbone, PublishedWeights

NAMES = ("toy",)


def build(name: str) -> Backbone:
    """An untrained convolution whose patches do not overlap, averaged over a grid of 4 x 4."""
    from torch import nn

    from pipeline.networks.backbones.contract import Backbone
    from pipeline.networks.backbones.transform import Transform

    stem, pool = nn.Conv2d(3, 8, 8, 8), nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten())
    return Backbone(
        name=name,
        network=nn.Sequential(stem, pool),
        dim=8 * 4 * 4,
        transform=Transform(64, 64, "bilinear", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        blocks=lambda: [stem],
        pool=pool,
        classifier_keys=(),
    )


def published(name: str) -> dict[str, PublishedWeights]:
    """None: `backbone.weights` is random or a file."""
    return {}
