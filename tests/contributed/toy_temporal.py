"""A linear layer on each frame's features: the least that a temporal network can be."""

from typing import Any

import torch
from pydantic import Field
from torch import nn

from pipeline.networks.temporal.contract import Outputs
from pipeline.networks.temporal.standardise import Standardise
from pipeline.settings import Number, Section


class Params(Section):
    """The numbers of the toy."""

    dropout: Number = Field(0.1, ge=0, lt=1)


class LinearPerFrame(nn.Module):
    """Logits of a frame from this frame alone.

    Args:
        dim: D, length of the feature vector.
        num_classes: C.
        dropout: Before the layer.
    """

    causal = True
    receptive_field = 1
    training_phases = ("all",)

    def __init__(self, dim: int, num_classes: int, dropout: float) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.standardise = Standardise(dim)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(dim, num_classes)

    def forward(self, features: torch.Tensor, mask: torch.Tensor, state: Any = None) -> Outputs:
        """(B, T, D) to one (B, T, C)."""
        return Outputs([self.head(self.dropout(self.standardise(features)))], None)

    def step(self, feature: torch.Tensor, state: Any = None) -> tuple[torch.Tensor, Any]:
        """(B, D) to (B, C)."""
        return self.head(self.dropout(self.standardise(feature))), None

    def extra_loss(self, outputs: Outputs, labels: torch.Tensor, mask: torch.Tensor) -> None:
        """None: cross-entropy is all."""

    def begin_phase(self, name: str) -> None:
        """There is one phase, which trains everything."""


def build(dim: int, num_classes: int, params: Params) -> LinearPerFrame:
    """An untrained network."""
    return LinearPerFrame(dim, num_classes, float(params.dropout))
