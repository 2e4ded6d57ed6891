"""The image itself, in grey: for models that read an image row by row, or learn from raw pixels."""

import torch
from torch import nn

from pipeline.networks.backbones.contract import Backbone, PublishedWeights
from pipeline.networks.backbones.transform import Transform

NAMES: tuple[str, ...] = ("pixels",)

SIDE_PX = 64
"""Side of the images unless features.crop says another."""


def build(name: str) -> Backbone:
    """The image's luma from 0 to 1, row by row; nothing to train.

    The features are as long as the crop has pixels: `dim` holds for SIDE_PX, features at another
    crop say their own by their shape.
    """
    network = nn.Sequential(Luma(), nn.Flatten())
    return Backbone(
        name=name,
        network=network,
        dim=SIDE_PX**2,
        # No wider resize: everything along the short side is seen.
        transform=Transform(SIDE_PX, SIDE_PX, "bilinear", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
        blocks=lambda: [network[0]],
        pool=network[1],
        classifier_keys=(),
    )


def published(name: str) -> dict[str, PublishedWeights]:
    """None: there are no weights."""
    return {}


class Luma(nn.Module):
    """Red, green and blue to grey as ITU-R BT.601 weighs them, and with it OpenCV and Pillow.

    Those two round to whole numbers from 0 to 255; this does not.
    """

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) float to (B, H, W)."""
        red, green, blue = images.unbind(dim=1)
        return 0.299 * red + 0.587 * green + 0.114 * blue
