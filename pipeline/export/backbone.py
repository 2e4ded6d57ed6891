"""Backbones as graphs: prepared images to features."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.export import Dim

from pipeline.export.graph import Graph
from pipeline.features.precision import Normalise, in_fp32
from pipeline.networks.backbones import build_backbone
from pipeline.networks.backbones.contract import Backbone
from pipeline.networks.backbones.fold import PaddedWithMean
from pipeline.networks.backbones.transform import Transform
from pipeline.networks.backbones.transform_record import recorded

# An example of any size but 0 and 1, which torch takes for constants.
_BATCH = 2


class Border(nn.Module):
    """What PaddedWithMean does, joined from parts: ONNX writes into a tensor by copying it thrice.

    Args:
        padded: The module in whose place it stands.
    """

    def __init__(self, padded: PaddedWithMean) -> None:
        super().__init__()
        self.border = padded.border
        self.mean: torch.Tensor
        self.register_buffer("mean", padded.mean.clone())

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images (B, 3, H, W) uint8 to (B, 3, H + 2 y, W + 2 x) float."""
        x, y = self.border
        pixels = images.float()
        count, channels, height, width = pixels.shape
        if x:
            side = self.mean.expand(count, channels, height, x)
            pixels = torch.cat((side, pixels, side), dim=3)
        if y:
            above = self.mean.expand(count, channels, y, width + 2 * x)
            pixels = torch.cat((above, pixels, above), dim=2)
        return pixels


def rebuilt_backbone(tensors: Mapping[str, torch.Tensor], name: str) -> Backbone:
    """The backbone with these weights, in evaluation mode."""
    backbone = build_backbone(name)
    backbone.network.load_state_dict(tensors)
    backbone.network.eval().requires_grad_(False)
    return backbone


@torch.no_grad()
def backbone_graph(backbone: Backbone, transform: Transform, half: bool) -> Graph:
    """The network of images (B, 3, H, W) uint8 to features (B, D) float32.

    Args:
        backbone: In evaluation mode, on the CPU; reads images.
        transform: What is done to an image before, cropped as the features were.
        half: For numbers of 16 bits: batch norm is folded into the convolutions, but not the
            normalisation, whose tiny weights would round badly.
    """
    network: nn.Module
    if half:
        folded = backbone.network
        if backbone.fold is not None:
            folded = backbone.fold(backbone.network, None)
        network = nn.Sequential(Normalise(transform, torch.float32), folded)
    else:
        network = in_fp32(backbone, transform)
        border = getattr(network, "border", None)
        if isinstance(border, PaddedWithMean):
            network.border = Border(border)
    side = transform.crop_px
    return Graph(
        what=f"backbone.name: {backbone.name}",
        network=network.eval(),
        example=(torch.randint(256, (_BATCH, 3, side, side)).byte(),),
        dynamic=({0: Dim("batch")},),
        inputs=("images",),
        outputs=("features",),
        strict=False,
    )


@torch.inference_mode()
def described(
    backbone: Backbone, transform: Transform, header: Mapping[str, Any]
) -> dict[str, Any]:
    """What the exported backbone says of itself.

    Args:
        backbone: The network.
        transform: With the crop of the features.
        header: Of the temporal model that reads the features.
    """
    # The pixels of an image, taken as features, are as many as its crop has: dim says less.
    image = torch.zeros(1, 3, transform.crop_px, transform.crop_px, dtype=torch.uint8)
    features = backbone.network(transform.normalise(image))
    common = ("frames", "features", "fps", "classes", "weights_hash")
    return {
        "name": backbone.name,
        "dim": features.shape[1],
        "transform": recorded(transform),
        **{key: header[key] for key in common},
    }
