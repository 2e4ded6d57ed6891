"""A backbone that takes pixels, in the precision that is asked for."""

import torch
from torch import nn

from pipeline.errors import PipelineError
from pipeline.networks.backbones.contract import Backbone
from pipeline.networks.backbones.transform import Transform


def check_precision(backbone: Backbone, precision: str) -> None:
    """Check that this backbone can be had in this precision.

    Raises:
        PipelineError: It cannot.
    """
    if precision == "int8" and (backbone.in_full is None or backbone.fold is None):
        raise PipelineError(
            f"params.yaml: features.precision: found int8, but {backbone.name} cannot be "
            "quantised. Allowed for it: fp32, bf16."
        )


def in_fp32(backbone: Backbone, transform: Transform) -> nn.Module:
    """The network of images (B, 3, H, W) uint8 to features (B, D) float32.

    Batch norm and the normalisation of pixels are folded into its convolutions where the family
    can do it.
    """
    network = backbone.network.eval()
    if backbone.fold is None:
        return nn.Sequential(Normalise(transform, torch.float32), network)
    return backbone.fold(network, transform)


def in_bf16(backbone: Backbone, transform: Transform) -> nn.Module:
    """The network of images (B, 3, H, W) uint8 to features (B, D) bfloat16.

    Batch norm is folded, the normalisation is not: weights for pixel values that are not centred
    round to 8 bits with an error that grows with the brightness of the image. On real frames it
    was up to a fifth of the whole error (benchmarks/README.md).
    """
    network = backbone.network.eval()
    if backbone.fold is not None:
        network = backbone.fold(network, None)
    return nn.Sequential(Normalise(transform, torch.bfloat16), network.to(torch.bfloat16))


class Normalise(nn.Module):
    """Images (B, 3, H, W) uint8 to normalised ones, computed in float32.

    Args:
        transform: Mean and scale of the pixels.
        dtype: Of the result.
    """

    def __init__(self, transform: Transform, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype
        self.mean: torch.Tensor
        self.std: torch.Tensor
        self.register_buffer("mean", 255 * torch.tensor(transform.mean).view(1, 3, 1, 1))
        self.register_buffer("std", 255 * torch.tensor(transform.std).view(1, 3, 1, 1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) of the type given at the start, in the memory order of the images."""
        return ((images.float() - self.mean) / self.std).to(self.dtype)
