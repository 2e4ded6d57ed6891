"""Channels last in memory: the order in which convolutions are fastest, over images and clips."""

import torch
from torch import nn

_FORMATS = {4: torch.channels_last, 5: torch.channels_last_3d}


def to_channels_last(network: nn.Module, device: torch.device) -> nn.Module:
    """The network on the device with all its convolutions' weights channels last; in place.

    `network.to(memory_format=torch.channels_last)` refuses weights of five dimensions.
    """
    network.to(device)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.dim() in _FORMATS:
                parameter.data = parameter.contiguous(memory_format=_FORMATS[parameter.dim()])
    return network


def images_channels_last(images: torch.Tensor) -> torch.Tensor:
    """Images (B, 3, H, W) or clips (B, L, 3, H, W), with the channels last in memory."""
    return images.movedim(-3, -1).contiguous().movedim(-1, -3)
