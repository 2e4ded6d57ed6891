"""The losses of networks with one answer per video."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from pipeline.training.cross_entropy import summed_cross_entropy, summed_focal_loss


@dataclass(frozen=True)
class VideoClassLoss:
    """Cross-entropy or focal loss of a class per video, weighted by class.

    It is divided by the number of videos, not by their weights as the loss over frames is: a batch
    is often one video, whose weight would cancel out.

    Attributes:
        class_weights: (C,).
        kind: Cross-entropy, or focal, which counts videos that are already right less.
        label_smoothing: Of the cross-entropy.
        focal_gamma: Of the focal loss.
    """

    class_weights: torch.Tensor
    kind: Literal["cross_entropy", "focal"] = "cross_entropy"
    label_smoothing: float = 0.0
    focal_gamma: float = 2.0

    def __call__(self, logits: Sequence[torch.Tensor], labels: torch.Tensor) -> torch.Tensor:
        """The loss of a batch, a scalar.

        Args:
            logits: One (B, 1, C).
            labels: (B, T) classes; a video's first column holds its class.
        """
        (answer,) = logits
        target = labels[:, 0]
        if self.kind == "focal":
            total = summed_focal_loss(answer[:, 0], target, self.class_weights, self.focal_gamma)
        else:
            total = summed_cross_entropy(
                answer[:, 0], target, self.class_weights, self.label_smoothing
            )
        return total / len(target)


@dataclass(frozen=True)
class ScoreLoss:
    """Mean squared error of a score per video.

    Attributes:
        scores: (K,) the scores that occur, standardised; labels are their numbers.
    """

    scores: torch.Tensor

    @property
    def class_weights(self) -> torch.Tensor:
        """(K,) ones: every score counts alike."""
        return torch.ones_like(self.scores)

    def __call__(self, logits: Sequence[torch.Tensor], labels: torch.Tensor) -> torch.Tensor:
        """The loss of a batch, a scalar.

        Args:
            logits: One (B, 1, 1), the standardised prediction.
            labels: (B, T) numbers of scores; a video's first column holds its score.
        """
        (answer,) = logits
        return (answer[:, 0, 0].float() - self.scores[labels[:, 0]]).square().mean()
