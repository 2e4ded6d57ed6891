"""The loss of networks with refinements that label each frame in several tracks."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from pipeline.training.track_loss import TrackLoss


@dataclass(frozen=True)
class RefinedTrackLoss:
    """Mean over the refinements, the predictor included, of the loss over tracks.

    Attributes:
        of_one: The loss of one of them.
    """

    of_one: TrackLoss

    @property
    def class_weights(self) -> torch.Tensor:
        """(C,) of the first track."""
        return self.of_one.class_weights

    def __call__(self, logits: Sequence[torch.Tensor], labels: torch.Tensor) -> torch.Tensor:
        """The loss of a batch, a scalar; 0 where nothing is labelled.

        Args:
            logits: One (B, T, C) per track of each refinement, as RefinedTrackHeads gives them.
            labels: (B, T) numbers of joint_labels.
        """
        number = len(self.of_one.tracks)
        each = [logits[first : first + number] for first in range(0, len(logits), number)]
        return torch.stack([self.of_one(own, labels) for own in each]).mean()
