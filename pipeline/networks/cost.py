"""What a network costs: numbers and operations, independent of any machine."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence

SEQUENCE = 1000
"""Frames over which a temporal network's operations are averaged: some 17 minutes at 1 fps."""

RECURRENT_SEQUENCE = 64
"""The same for recurrent networks, whose cost per frame does not depend on the length."""


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
    device = next(network.parameters()).device
    if any(isinstance(module, nn.RNNBase) for module in network.modules()):
        # To the counter a fused recurrent layer is one unknown operation.
        features, mask = blank_features(RECURRENT_SEQUENCE, dim, device)
        flops = _flops_of_weights(network, features, mask) // RECURRENT_SEQUENCE
    else:
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


def _flops_of_weights(network: nn.Module, features: torch.Tensor, mask: torch.Tensor) -> int:
    """Two operations for each weight of a layer, as often as the layer meets a frame."""
    total = 0

    def count(
        layer: nn.Module, inputs: tuple[torch.Tensor | PackedSequence, ...], _: object
    ) -> None:
        nonlocal total
        given = inputs[0].data  # of a packed sequence its rows, of a tensor itself
        weights = sum(p.numel() for p in layer.parameters(recurse=False) if p.dim() > 1)
        # Rows of (B, T, D), or of the maps (B, D, T) of a convolution.
        rows = given.numel() // given.shape[1 if isinstance(layer, nn.Conv1d) else -1]
        total += 2 * weights * rows

    layers = (nn.RNNBase, nn.Linear, nn.Conv1d)
    handles = [
        module.register_forward_hook(count)
        for module in network.modules()
        if isinstance(module, layers)
    ]
    try:
        with torch.inference_mode():
            network(features, mask)
    finally:
        for handle in handles:
            handle.remove()
    return total


def _flops(run: Callable[[], object]) -> int:
    # torch's counter takes a second to load, and recurrent networks are counted without it.
    from torch.utils.flop_counter import FlopCounterMode

    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        run()
    return int(counter.get_total_flops())
