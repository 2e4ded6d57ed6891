"""A linear layer on each frame's features: the least that a temporal network can be."""

import torch
from pydantic import Field
from torch import nn

from pipeline.networks.temporal.contract import Outputs, State, TemporalModule
from pipeline.settings import Number, Section


class Params(Section):
    """The numbers of the toy."""

    dropout: Number = Field(0.1, ge=0, lt=1)


def build(dim: int, num_classes: int, params: Params) -> "LinearPerFrame":
    """An untrained network for D features and C classes."""
    return LinearPerFrame(dim, num_classes, params.dropout)


class LinearPerFrame(TemporalModule):
    """Logits of a frame from this frame alone.

    Args:
        dim: D, length of the feature vector.
        num_classes: C.
        dropout: Before the layer.
    """

    causal = True
    receptive_field = 1

    def __init__(self, dim: int, num_classes: int, dropout: float) -> None:
        super().__init__(dim, num_classes)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(dim, num_classes)

    def forward(
        self, features: torch.Tensor, mask: torch.Tensor, state: State | None = None
    ) -> Outputs:
        """See TemporalNetwork; there is no state."""
        return Outputs([self.head(self.dropout(self.standardise(features)))], None)
