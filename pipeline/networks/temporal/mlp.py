"""A network of two linear layers on each frame: what the features say without any time.

Linear, ReLU, dropout, linear: the usual head of a fine-tuned CNN. Receptive field: the frame
itself.
"""

import torch
from pydantic import Field
from torch import nn

from pipeline.networks.temporal.contract import Outputs, State, TemporalModule
from pipeline.settings import Number, Section


class Params(Section):
    """The numbers of the network.

    Attributes:
        hidden: Units between the two layers.
        dropout: Of these units.
    """

    hidden: int = Field(1024, ge=1)
    dropout: Number = Field(0.5, ge=0, lt=1)


def build(dim: int, num_classes: int, params: Params) -> "Mlp":
    """An untrained network for D features and C classes."""
    return Mlp(dim, num_classes, params.hidden, params.dropout)


class Mlp(TemporalModule):
    """Linear, ReLU, dropout, linear, frame by frame.

    Args:
        dim: D, length of the feature vector.
        num_classes: C.
        hidden: Units between the two layers.
        dropout: Of these units.
    """

    causal = True
    receptive_field = 1
    trains_in_windows = True

    def __init__(self, dim: int, num_classes: int, hidden: int, dropout: float) -> None:
        super().__init__(dim, num_classes)
        self.head = nn.Sequential(
            nn.Linear(dim, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, num_classes)
        )

    def forward(
        self, features: torch.Tensor, mask: torch.Tensor, state: State | None = None
    ) -> Outputs:
        """See TemporalNetwork; there is no state."""
        return Outputs([self.head(self.standardise(features))], None)
