"""Dilated convolutions over time and the stage of MS-TCN, causal or looking both ways.

Farha and Gall, "MS-TCN: Multi-Stage Temporal Convolutional Network for Action Segmentation",
CVPR 2019. tecno.py has a causal stage of its own, because its code is part of what identifies
trained models.
"""

from collections.abc import Iterable, Sequence

import torch
from torch import nn
from torch.nn import functional

# The last columns that entered each convolution, (B, M, 2 * dilation) each.
Past = Sequence[torch.Tensor]


class DilatedConv(nn.Module):
    """Convolution of kernel 3 over time.

    Args:
        inputs: Maps that come in.
        outputs: Maps that go out.
        dilation: Columns between the taps.
        causal: Taps at t - 2 d, t - d and t; otherwise at t - d, t and t + d.
    """

    def __init__(self, inputs: int, outputs: int, dilation: int, causal: bool) -> None:
        super().__init__()
        self.conv = nn.Conv1d(inputs, outputs, kernel_size=3, dilation=dilation)
        self.reach = 2 * dilation
        self.causal = causal

    def forward(
        self, x: torch.Tensor, past: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Maps (B, inputs, T) to (B, outputs, T), and the past of the columns that follow.

        Args:
            x: Zero in padding.
            past: The columns before x, (B, inputs, 2 * dilation), for a causal convolution; None
                at a video's start.
        """
        if not self.causal:
            return self.conv(functional.pad(x, (self.reach // 2, self.reach // 2))), x[:, :, :0]
        whole = functional.pad(x, (self.reach, 0)) if past is None else torch.cat((past, x), dim=2)
        return self.conv(whole), whole[:, :, -self.reach :]


class ResidualLayer(nn.Module):
    """Dilated convolution, ReLU, 1x1, dropout, residual."""

    def __init__(self, maps: int, dilation: int, dropout: float, causal: bool) -> None:
        super().__init__()
        self.dilated = DilatedConv(maps, maps, dilation, causal)
        self.pointwise = nn.Conv1d(maps, maps, kernel_size=1)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: torch.Tensor, frames: torch.Tensor, past: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Maps (B, M, T) to (B, M, T), zero in padding, and the past of the columns that follow."""
        y, kept = self.dilated(x, past)
        y = self.dropout(self.pointwise(functional.relu(y)))
        return (x + y) * frames, kept


class Stage(nn.Module):
    """1x1 convolution in, dilated layers, 1x1 convolution out.

    Args:
        inputs: D for the stage that sees features, C for one that refines.
        num_classes: C.
        layers: Each maps (x, frames, past) to columns and its past, as ResidualLayer does.
        maps: M.
    """

    def __init__(
        self, inputs: int, num_classes: int, layers: Iterable[nn.Module], maps: int
    ) -> None:
        super().__init__()
        self.enter = nn.Conv1d(inputs, maps, kernel_size=1)
        self.layers = nn.ModuleList(layers)
        self.leave = nn.Conv1d(maps, num_classes, kernel_size=1)

    def forward(
        self, x: torch.Tensor, frames: torch.Tensor, past: Past | None
    ) -> tuple[torch.Tensor, Past]:
        """Inputs (B, D, T) to logits (B, C, T), and the past of each layer.

        Args:
            x: Inputs.
            frames: (B, 1, T), 1 for frames and 0 for padding.
            past: What the call on the columns before returned; None at a video's start.
        """
        y = self.enter(x) * frames
        kept = []
        for number, layer in enumerate(self.layers):
            y, columns = layer(y, frames, past[number] if past else None)
            kept.append(columns)
        return self.leave(y), tuple(kept)


def residual_stage(
    inputs: int, num_classes: int, layers: int, maps: int, dropout: float, causal: bool
) -> Stage:
    """A stage of MS-TCN: layers of dilation 1, 2, 4, ..."""
    dilated = (ResidualLayer(maps, 2**i, dropout, causal) for i in range(layers))
    return Stage(inputs, num_classes, dilated, maps)


def refined(
    stages: Iterable[nn.Module], x: torch.Tensor, mask: torch.Tensor, state: Sequence[Past] | None
) -> tuple[list[torch.Tensor], tuple[Past, ...]]:
    """Logits of stages that each read the softmax of the one before.

    Args:
        stages: The first one reads the features.
        x: Features (B, T, D), standardised.
        mask: (B, T) bool, true for frames.
        state: What the call on the frames before returned; None at a video's start.

    Returns:
        (B, T, C) logits of each stage, and the past of each.
    """
    frames = mask[:, None].to(x.dtype)
    x = x.transpose(1, 2)  # (B, D, T)
    logits, kept = [], []
    for number, stage in enumerate(stages):
        x, past = stage(x, frames, state[number] if state else None)  # (B, C, T)
        logits.append(x.transpose(1, 2))
        kept.append(past)
        x = functional.softmax(x, dim=1) * frames
    return logits, tuple(kept)
