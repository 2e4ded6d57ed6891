"""ASFormer: a transformer for action segmentation whose windows double from layer to layer.

Yi et al., "ASFormer: Transformer for Action Segmentation", BMVC 2021. An encoder and three decoders
of 10 layers: a dilated convolution, attention of each frame to a window of width 2^i around it, and
a residual. A decoder reads the softmax of the one before, takes its values from that one's features
and weighs its attention with exp(-3 s), s = 0, 1, 2.

Offline, InstanceNorm over time precedes the attention, so that every frame sees all of the video.
With `causal: true` convolutions and windows look back only and LayerNorm over the maps takes its
place: then 12,237 frames can decide a logit. Departures: windows are centred on each frame, where
the published code shares one between the frames of a block; padding is left out of InstanceNorm;
features are standardised by the training videos; losses are averaged over the stages
(blocks/smoothing.py). The paper trains with Adam at 5e-4 and weight decay 1e-5, a plateau schedule
and 120 epochs.
"""

import math

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional

from pipeline.networks.temporal.blocks.attention import last, windowed_attention, with_past
from pipeline.networks.temporal.blocks.smoothing import smoothing_loss
from pipeline.networks.temporal.blocks.tcn import DilatedConv
from pipeline.networks.temporal.contract import Outputs, State, TemporalModule
from pipeline.settings import Number, Section

# Of a layer: the columns before its convolution, and the keys and values of its window.
Past = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


class Params(Section):
    """The numbers of ASFormer; the defaults are the paper's.

    Attributes:
        causal: Logits depend on frames up to their own only.
        decoders: Behind the encoder.
        layers: Of the encoder and of each decoder.
        maps: Feature maps; the attention has half as many.
        dropout: In each layer.
        channel_dropout: Of whole features at the entrance.
        smoothing: Weight of the smoothing loss.
    """

    causal: bool = False
    decoders: int = Field(3, ge=0)
    layers: int = Field(10, ge=1, le=14)
    maps: int = Field(64, ge=2)
    dropout: Number = Field(0.5, ge=0, lt=1)
    channel_dropout: Number = Field(0.3, ge=0, lt=1)
    smoothing: Number = Field(0.15, ge=0)


def build(dim: int, num_classes: int, params: Params) -> "AsFormer":
    """An untrained network for D features and C classes."""
    return AsFormer(
        dim,
        num_classes,
        causal=params.causal,
        decoders=params.decoders,
        layers=params.layers,
        maps=params.maps,
        dropout=params.dropout,
        channel_dropout=params.channel_dropout,
        smoothing=params.smoothing,
    )


def instance_norm(x: torch.Tensor, frames: torch.Tensor) -> torch.Tensor:
    """Each map (B, M, T) with zero mean and unit variance over the frames of its video."""
    total = frames.sum(dim=2, keepdim=True).clamp(min=1)
    x = (x - (x * frames).sum(dim=2, keepdim=True) / total) * frames
    return x * (x.square().sum(dim=2, keepdim=True) / total + 1e-5).rsqrt()


def layer_norm(x: torch.Tensor) -> torch.Tensor:
    """Each column of (B, M, T) with zero mean and unit variance over its maps."""
    return functional.layer_norm(x.transpose(1, 2), x.shape[1:2]).transpose(1, 2)


class WindowedAttention(nn.Module):
    """Attention of one head to a window of frames, ReLU, 1x1.

    Args:
        maps: M; queries, keys and values have M / 2.
        width: Of the window: centred, or ending at the frame where causal.
        causal: Which of both.
    """

    def __init__(self, maps: int, width: int, causal: bool) -> None:
        super().__init__()
        self.before, self.after = (width - 1, 0) if causal else (width // 2, width // 2)
        self.query = nn.Conv1d(maps, maps // 2, kernel_size=1)
        self.key = nn.Conv1d(maps, maps // 2, kernel_size=1)
        self.value = nn.Conv1d(maps, maps // 2, kernel_size=1)
        self.leave = nn.Conv1d(maps // 2, maps, kernel_size=1)

    def forward(
        self, x: torch.Tensor, source: torch.Tensor, mask: torch.Tensor, past: Past | None
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor]]:
        """Queries and keys from x, values from source, (B, M, T) each, to (B, M, T)."""
        query, key, value = (
            part.transpose(1, 2)[:, None]  # one head: (B, 1, T, M / 2)
            for part in (self.query(x), self.key(x), self.value(source))
        )
        if past is not None:
            key, value = with_past(key, past[1]), with_past(value, past[2])
        y = windowed_attention(query, key, value, mask, self.before, self.after)
        y = self.leave(functional.relu(y[:, 0].transpose(1, 2)))
        return y, (last(key, self.before), last(value, self.before))


class Layer(nn.Module):
    """Dilated convolution, attention with its weight, 1x1, dropout, residual."""

    def __init__(
        self, maps: int, dilation: int, dropout: float, weight: float, causal: bool
    ) -> None:
        super().__init__()
        self.dilated = DilatedConv(maps, maps, dilation, causal)
        self.attention = WindowedAttention(maps, dilation, causal)
        self.pointwise = nn.Conv1d(maps, maps, kernel_size=1)
        self.dropout = nn.Dropout(dropout)
        self.weight = weight
        self.causal = causal

    def forward(
        self, x: torch.Tensor, source: torch.Tensor | None, mask: torch.Tensor, past: Past | None
    ) -> tuple[torch.Tensor, Past]:
        """Maps (B, M, T) to (B, M, T), zero in padding, and the past of the columns that follow.

        Args:
            x: Maps.
            source: Of the values, (B, M, T); None: x itself, as in the encoder.
            mask: (B, T) bool, true for frames.
            past: None at a video's start.
        """
        frames = mask[:, None].to(x.dtype)
        y, columns = self.dilated(x, past[0] if past else None)
        y = functional.relu(y)
        normed = layer_norm(y) if self.causal else instance_norm(y, frames)
        attended, cache = self.attention(normed, normed if source is None else source, mask, past)
        y = self.dropout(self.pointwise(y + self.weight * attended))
        return (x + y) * frames, (columns, *cache)


class Coder(nn.Module):
    """The encoder, or a decoder: 1x1 in, layers with windows 1, 2, 4, ..., 1x1 out."""

    def __init__(
        self,
        inputs: int,
        num_classes: int,
        layers: int,
        maps: int,
        dropout: float,
        weight: float,
        causal: bool,
    ) -> None:
        super().__init__()
        self.enter = nn.Conv1d(inputs, maps, kernel_size=1)
        self.layers = nn.ModuleList(
            Layer(maps, 2**i, dropout, weight, causal) for i in range(layers)
        )
        self.leave = nn.Conv1d(maps, num_classes, kernel_size=1)

    def forward(
        self,
        x: torch.Tensor,
        source: torch.Tensor | None,
        mask: torch.Tensor,
        past: tuple[Past, ...] | None,
    ) -> tuple[torch.Tensor, torch.Tensor, tuple[Past, ...]]:
        """Inputs (B, D, T) to logits (B, C, T), features (B, M, T), and the past of each layer."""
        y = self.enter(x) * mask[:, None]
        kept = []
        for number, layer in enumerate(self.layers):
            y, columns = layer(y, source, mask, past[number] if past else None)
            kept.append(columns)
        return self.leave(y), y, tuple(kept)


class AsFormer(TemporalModule):
    """Encoder and decoders of windowed attention, offline or causal.

    Args:
        dim: D, length of the feature vector.
        num_classes: C.
        causal: Whether logits depend on frames up to their own only.
        decoders: Behind the encoder.
        layers: Of the encoder and of each decoder.
        maps: Feature maps.
        dropout: In each layer.
        channel_dropout: Of whole features at the entrance.
        smoothing: Weight of the smoothing loss.
    """

    def __init__(
        self,
        dim: int,
        num_classes: int,
        causal: bool,
        decoders: int,
        layers: int,
        maps: int,
        dropout: float,
        channel_dropout: float,
        smoothing: float,
    ) -> None:
        super().__init__(dim, num_classes)
        self.causal = causal
        self.smoothing = smoothing
        # A layer looks back over 2 * 2^i columns in its convolution and 2^i - 1 in its window.
        reach = 3 * (int(2**layers) - 1) - layers
        self.receptive_field = 1 + (1 + decoders) * reach if causal else None
        self.channel_dropout = nn.Dropout1d(channel_dropout)
        self.coders = nn.ModuleList(
            [Coder(dim, num_classes, layers, maps, dropout, 1.0, causal)]
            + [
                Coder(num_classes, num_classes, layers, maps, dropout, math.exp(-3 * s), causal)
                for s in range(decoders)
            ]
        )

    def forward(
        self, features: torch.Tensor, mask: torch.Tensor, state: State | None = None
    ) -> Outputs:
        """See TemporalNetwork; the state holds the past of each layer of each coder."""
        x = self.channel_dropout(self.standardise(features).transpose(1, 2))  # (B, D, T)
        source = None
        logits, kept = [], []
        for number, coder in enumerate(self.coders):
            x, source, past = coder(x, source, mask, state[number] if state else None)
            logits.append(x.transpose(1, 2))
            kept.append(past)
            x = functional.softmax(x, dim=1) * mask[:, None]
        return Outputs(logits, tuple(kept) if self.causal else None)

    def extra_loss(
        self, outputs: Outputs, labels: torch.Tensor, mask: torch.Tensor
    ) -> torch.Tensor:
        """The smoothing loss with its weight."""
        return self.smoothing * smoothing_loss(outputs.logits, mask)
