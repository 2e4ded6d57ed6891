"""A causal transformer in the manner of OperA.

Czempiel et al., "OperA: Attention-Regularized Transformers for Surgical Phase Recognition",
MICCAI 2021: 11 narrow layers of one head under a causal mask, without positional encoding, which
lowered the paper's results. Departures: a frame attends to the last `window` frames in every layer,
itself included, so that a further frame costs the same at any time of the operation and a video
costs in proportion to its length (with 1,024 frames and 11 layers, 11,254 frames can decide a
logit); layer norms come before the branches; and the attention regularisation is left out, since it
needs the phase probabilities of the CNN, which features do not hold. The paper trains at a learning
rate of 1e-5.
"""

import torch
from pydantic import Field
from torch import nn
from torch.utils.checkpoint import checkpoint

from pipeline.networks.temporal.blocks.transformer import TransformerLayer
from pipeline.networks.temporal.contract import Outputs, State, TemporalModule
from pipeline.settings import Number, Section


class Params(Section):
    """The numbers of the transformer; the defaults are the paper's but for the window.

    Attributes:
        layers: Of the transformer.
        width: Of each row.
        feed_forward: Units between the two linear layers of a branch.
        dropout: Of attention weights and branches.
        window: Frames, the present one included, that a frame attends to.
    """

    layers: int = Field(11, ge=1)
    width: int = Field(64, ge=1)
    feed_forward: int = Field(256, ge=1)
    dropout: Number = Field(0.1, ge=0, lt=1)
    window: int = Field(1024, ge=1)


def build(dim: int, num_classes: int, params: Params) -> "Opera":
    """An untrained network for D features and C classes."""
    return Opera(
        dim,
        num_classes,
        layers=params.layers,
        width=params.width,
        feed_forward=params.feed_forward,
        dropout=params.dropout,
        window=params.window,
    )


RECOMPUTED_BEYOND = 4096
"""Frames from which on the backward pass computes each layer once more in place of keeping its
attention weights, half a gigabyte for four hours at one frame per second. Nothing else changes."""


class Opera(TemporalModule):
    """Linear layer in, causal transformer of one head, linear head.

    Args:
        dim: D, length of the feature vector.
        num_classes: C.
        layers: Of the transformer.
        width: Of each row.
        feed_forward: Units between the two linear layers of a branch.
        dropout: Of attention weights and branches.
        window: Frames, the present one included, that a frame attends to.
    """

    causal = True

    def __init__(
        self,
        dim: int,
        num_classes: int,
        layers: int,
        width: int,
        feed_forward: int,
        dropout: float,
        window: int,
    ) -> None:
        super().__init__(dim, num_classes)
        self.receptive_field = 1 + layers * (window - 1)
        self.enter = nn.Linear(dim, width)
        self.layers = nn.ModuleList(
            TransformerLayer(width, 1, feed_forward, dropout, window) for _ in range(layers)
        )
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, num_classes))

    def forward(
        self, features: torch.Tensor, mask: torch.Tensor, state: State | None = None
    ) -> Outputs:
        """See TemporalNetwork; the state holds keys and values of each layer's window."""
        x = self.enter(self.standardise(features))  # (B, T, M)
        kept = []
        is_long = x.shape[1] > RECOMPUTED_BEYOND and torch.is_grad_enabled()
        for number, layer in enumerate(self.layers):
            own = state[number] if state else None
            if is_long:
                x, cache = checkpoint(layer, x, mask, own, use_reentrant=False)
            else:
                x, cache = layer(x, mask, own)
            kept.append(cache)
        return Outputs([self.head(x)], tuple(kept))
