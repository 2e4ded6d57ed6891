"""TUNeS: a U-Net over time with self-attention at its core.

Funke et al., "TUNeS: A Temporal U-Net with Self-Attention for Video-based Surgical Phase
Recognition", arXiv 2307.09997. Convolutions halve the rate of the frames three times, a transformer
works on what is left, and convolutions lead back to every frame, with a skip at each level. Written
from the paper's summary, not from its code: the transformer's 2 layers and 8 heads, 3
levels, width 64 and dropout 0.5 are the paper's; the inside of a level, two convolutions of kernel
3 behind layer norms over the maps, is ours, and so is that the rows that enter are taken less
their mean over the video (blocks/video_mean.py).

Offline, every frame sees all of the video, and the cost of the attention, on an eighth of the
frames, grows with the square of the length. With `causal: true` convolutions look back only, a
lower rate holds its last column until the next is due, the transformer sees a window of its last
frames, and the mean is that of the frames so far: then the cost is linear. The paper trains at a
learning rate of 7e-4, best on features of a CNN that was trained with an LSTM behind it.
"""

import torch
from pydantic import Field, model_validator
from torch import nn
from torch.nn import functional

from pipeline.networks.temporal.blocks.tcn import DilatedConv
from pipeline.networks.temporal.blocks.transformer import TransformerLayer
from pipeline.networks.temporal.blocks.video_mean import VideoMean
from pipeline.networks.temporal.contract import Outputs, State, TemporalModule
from pipeline.settings import Number, Section

# Convolutions of kernel 3 in a block: each looks two columns back where it is causal.
_CONVOLUTIONS = 2


class Params(Section):
    """The numbers of TUNeS; see the module for those that are the paper's.

    Attributes:
        causal: Logits depend on frames up to their own only.
        levels: Times that the rate is halved.
        layers: Of the transformer.
        width: Of each column, at all levels; divisible by heads.
        heads: Of the transformer.
        dropout: In convolutions and transformer.
        window: Columns that the causal transformer attends to, the present one included: 1,024 at
            an eighth of the rate are 8,192 frames. Offline it attends to all.
    """

    causal: bool = False
    levels: int = Field(3, ge=1)
    layers: int = Field(2, ge=1)
    width: int = Field(64, ge=1)
    heads: int = Field(8, ge=1)
    dropout: Number = Field(0.5, ge=0, lt=1)
    window: int = Field(1024, ge=1)

    @model_validator(mode="after")
    def _check_heads(self) -> "Params":
        if self.width % self.heads:
            raise ValueError(f"width {self.width} cannot be shared by {self.heads} heads")
        return self


def build(dim: int, num_classes: int, params: Params) -> "Tunes":
    """An untrained network for D features and C classes."""
    return Tunes(
        dim,
        num_classes,
        causal=params.causal,
        levels=params.levels,
        layers=params.layers,
        width=params.width,
        heads=params.heads,
        dropout=params.dropout,
        window=params.window,
    )


class ConvBlock(nn.Module):
    """Layer norm over the maps, convolution, ReLU, dropout, twice; and a residual."""

    def __init__(self, width: int, dropout: float, causal: bool) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(_CONVOLUTIONS))
        self.convs = nn.ModuleList(
            DilatedConv(width, width, 1, causal) for _ in range(_CONVOLUTIONS)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: torch.Tensor, frames: torch.Tensor, past: State | None
    ) -> tuple[torch.Tensor, State]:
        """Maps (B, M, T) to (B, M, T), zero in padding, and the past of the columns that follow."""
        y = x
        kept = []
        for number, (norm, conv) in enumerate(zip(self.norms, self.convs, strict=True)):
            y = norm(y.transpose(1, 2)).transpose(1, 2) * frames
            y, columns = conv(y, past[number] if past else None)
            y = self.dropout(functional.relu(y))
            kept.append(columns)
        return (x + y) * frames, tuple(kept)


class Core(nn.Module):
    """The transformer at the lowest rate."""

    def __init__(
        self, layers: int, width: int, heads: int, dropout: float, window: int | None
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            TransformerLayer(width, heads, 4 * width, dropout, window) for _ in range(layers)
        )
        self.norm = nn.LayerNorm(width)

    def forward(
        self, x: torch.Tensor, mask: torch.Tensor, state: State | None
    ) -> tuple[torch.Tensor, State]:
        """Maps (B, M, T) to (B, M, T), and the caches of the layers."""
        x = x.transpose(1, 2)
        kept = []
        for number, layer in enumerate(self.layers):
            x, cache = layer(x, mask, state[number] if state else None)
            kept.append(cache)
        return self.norm(x).transpose(1, 2), tuple(kept)


class Level(nn.Module):
    """A block, what happens at half the rate, and a block that joins both.

    Args:
        inner: The level below, or the core.
        width: M.
        dropout: Of the blocks.
        causal: Whether column t of the half rate stands for columns up to 2 t only; otherwise for
            2 t - 1 to 2 t + 1.
    """

    def __init__(self, inner: nn.Module, width: int, dropout: float, causal: bool) -> None:
        super().__init__()
        self.before = ConvBlock(width, dropout, causal)
        self.halve = nn.Conv1d(width, width, kernel_size=3, stride=2)
        self.inner = inner
        self.join = nn.Conv1d(2 * width, width, kernel_size=1)
        self.after = ConvBlock(width, dropout, causal)
        self.causal = causal

    def forward(
        self, x: torch.Tensor, mask: torch.Tensor, state: State | None
    ) -> tuple[torch.Tensor, State]:
        """Maps (B, M, T) to (B, M, T), zero in padding, and the state for columns that follow.

        The state holds what the blocks and the inner level keep, two columns for the next
        convolution, and, after an odd number of columns, that of the half rate which also serves
        the next one.
        """
        frames = mask[:, None].to(x.dtype)
        length = x.shape[2]
        before, columns, held, inner, after = state or (None, None, None, None, None)
        skip, before = self.before(x, frames, before)
        if columns is None:
            whole = functional.pad(skip, (2, 0) if self.causal else (1, 1))
        else:
            whole = torch.cat((columns, skip), dim=2)
        parts = [] if held is None else [held]
        first = len(parts)  # a column that is held serves the first of these
        if length > first:
            low = self.halve(whole[:, :, first:])
            low, inner = self.inner(low, mask[:, first::2], inner)
            parts.append(low.repeat_interleave(2, dim=2))
        low = torch.cat(parts, dim=2)  # T or T + 1 columns
        held = low[:, :, length:] if low.shape[2] > length else None
        y = self.join(torch.cat((skip, low[:, :, :length]), dim=1)) * frames
        y, after = self.after(y, frames, after)
        return y, (before, whole[:, :, -2:], held, inner, after)


class Tunes(TemporalModule):
    """U-Net over time with a transformer at its lowest rate, offline or causal.

    Args:
        dim: D, length of the feature vector.
        num_classes: C.
        causal: Whether logits depend on frames up to their own only.
        levels: Times that the rate is halved.
        layers: Of the transformer.
        width: Of each column, at all levels.
        heads: Of the transformer.
        dropout: In convolutions and transformer.
        window: Columns that the causal transformer attends to.
    """

    receptive_field = None

    def __init__(
        self,
        dim: int,
        num_classes: int,
        causal: bool,
        levels: int,
        layers: int,
        width: int,
        heads: int,
        dropout: float,
        window: int,
    ) -> None:
        super().__init__(dim, num_classes)
        self.causal = causal
        self.enter = nn.Conv1d(dim, width, kernel_size=1, bias=False)
        self.shift = VideoMean(width, causal)
        net: nn.Module = Core(layers, width, heads, dropout, window if causal else None)
        for _ in range(levels):
            net = Level(net, width, dropout, causal)
        self.net = net
        self.leave = nn.Conv1d(width, num_classes, kernel_size=1)

    def forward(
        self, features: torch.Tensor, mask: torch.Tensor, state: State | None = None
    ) -> Outputs:
        """See TemporalNetwork; the state holds what the mean, the levels and the core keep."""
        seen, kept = state or (None, None)
        x = self.enter(self.standardise(features).transpose(1, 2)).transpose(1, 2)  # (B, T, M)
        x, seen = self.shift(x, mask, seen)
        y, kept = self.net(x.transpose(1, 2), mask, kept)
        return Outputs([self.leave(y).transpose(1, 2)], (seen, kept) if self.causal else None)
