"""A linear head on each frame: what the features say without any time.

The baseline that every temporal network has to beat. Receptive field: the frame itself.
"""

import torch
from torch import nn

from pipeline.networks.temporal.contract import Outputs, State, TemporalModule
from pipeline.settings import Section


class Params(Section):
    """A linear head has no numbers."""


def build(dim: int, num_classes: int, params: Params) -> "LinearHead":
    """An untrained network for D features and C classes."""
    return LinearHead(dim, num_classes)


class LinearHead(TemporalModule):
    """One linear layer, frame by frame.

    Args:
        dim: D, length of the feature vector.
        num_classes: C.
    """

    causal = True
    receptive_field = 1
    trains_in_windows = True

    def __init__(self, dim: int, num_classes: int) -> None:
        super().__init__(dim, num_classes)
        self.head = nn.Linear(dim, num_classes)

    def forward(
        self, features: torch.Tensor, mask: torch.Tensor, state: State | None = None
    ) -> Outputs:
        """See TemporalNetwork; there is no state."""
        return Outputs([self.head(self.standardise(features))], None)
