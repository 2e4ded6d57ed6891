"""The loss of networks that label each frame in several tracks."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from pipeline.networks.temporal.track_heads import split_labels
from pipeline.training.cross_entropy import UNLABELLED
from pipeline.training.sequence_loss import SequenceLoss


@dataclass(frozen=True)
class TrackLoss:
    """Mean over the tracks of the loss over their labelled frames.

    A track without any label in the batch does not count, so that a video of which only the phase
    is known has the loss of a training on phases alone.

    Attributes:
        tracks: Of each track, with its class weights.
    """

    tracks: Sequence[SequenceLoss]

    @property
    def class_weights(self) -> torch.Tensor:
        """(C,) of the first track."""
        return self.tracks[0].class_weights

    def __call__(self, logits: Sequence[torch.Tensor], labels: torch.Tensor) -> torch.Tensor:
        """The loss of a batch, a scalar; 0 where nothing is labelled.

        Args:
            logits: One (B, T, C) per track, from the last track to the first.
            labels: (B, T) numbers of joint_labels.
        """
        each = split_labels(labels, [len(own.class_weights) for own in self.tracks])
        parts = zip(self.tracks, reversed(logits), each, strict=True)
        losses = [loss([own], of) for loss, own, of in parts]
        labelled = torch.stack([(of != UNLABELLED).any() for of in each])
        return torch.stack(losses).sum() / labelled.sum().clamp(min=1)
