"""What a network costs: numbers and operations, independent of any machine."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

SEQUENCE = 1000
"""Frames over which a temporal network's operations are averaged: some 17 minutes at 1 fps."""


@dataclass(frozen=True)
class Cost:
    """Of one part of the model.

    Attributes:
        parameters: Numbers, trainable or frozen.
        flops_per_frame: Floating-point operations, a multiply-add counted as two, of matrix
            products and convolutions.
    """

    parameters: int
    flops_per_frame: int


def image_cost(network: nn.Module, crop_px: int, clip_frames: int | None = None) -> Cost:
    """Of a backbone for one sample: an image (1, 3, crop_px, crop_px), or a clip of images.

    Shapes alone decide it: with a network built under `torch.device("meta")` nothing is computed.

    Args:
        network: Images or clips to features.
        crop_px: Side of the images.
        clip_frames: Of a network that reads clips.
    """
    # A network without parameters runs wherever its image is.
    device = next((p.device for p in network.parameters()), torch.device("meta"))
    length = () if clip_frames is None else (clip_frames,)
    image = torch.empty(1, *length, 3, crop_px, crop_px, device=device)
    return Cost(_parameters(network), _flops(lambda: network(image)))


def sequence_cost(network: nn.Module, dim: int) -> Cost:
    """Of a temporal network for a frame, averaged over a sequence of SEQUENCE frames.

    Args:
        network: Takes features (B, T, dim) and a mask (B, T).
        dim: Length of the feature vector.
    """
    if any(isinstance(module, nn.RNNBase) for module in network.modules()):
        # To the counter a fused recurrent layer is one unknown operation. Every weight matrix
        # meets each frame once: two operations per weight.
        flops = 2 * sum(p.numel() for p in network.parameters() if p.dim() == 2)
    else:
        device = next(network.parameters()).device
        features, mask = blank_features(SEQUENCE, dim, device)
        flops = _flops(lambda: network(features, mask)) // SEQUENCE
    return Cost(_parameters(network), flops)


def blank_features(
    num_frames: int, dim: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Features (1, T, dim) and mask (1, T): costs do not depend on their values."""
    return (
        torch.zeros(1, num_frames, dim, device=device),
        torch.ones(1, num_frames, dtype=torch.bool, device=device),
    )


def _parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def _flops(run: Callable[[], object]) -> int:
    # torch's counter takes a second to load, and recurrent networks are counted without it.
    from torch.utils.flop_counter import FlopCounterMode

    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        run()
    return int(counter.get_total_flops())
