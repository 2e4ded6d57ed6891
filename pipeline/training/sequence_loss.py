"""The loss over the labelled frames of sequences."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from pipeline.training.cross_entropy import (
    summed_cross_entropy,
    summed_focal_loss,
    summed_weight,
)


@dataclass(frozen=True)
class SequenceLoss:
    """Weighted mean over labelled frames, and mean over the refinements of a network.

    MS-TCN and ASFormer add up their refinements. The mean is the same up to a factor, which Adam
    divides out again; gradients are clipped at the norm of the mean.

    Attributes:
        class_weights: (C,).
        kind: Cross-entropy, or focal, which counts frames that are already right less.
        label_smoothing: Of the cross-entropy.
        focal_gamma: Of the focal loss.
    """

    class_weights: torch.Tensor
    kind: Literal["cross_entropy", "focal"] = "cross_entropy"
    label_smoothing: float = 0.0
    focal_gamma: float = 2.0

    def __call__(self, logits: Sequence[torch.Tensor], labels: torch.Tensor) -> torch.Tensor:
        """The loss of a batch.

        Args:
            logits: One (B, T, C) per refinement.
            labels: (B, T) classes, -1 where unlabelled or padding.

        Returns:
            Scalar; 0 where nothing is labelled, as in a window within a gap.
        """
        target = labels.flatten()
        # torch's own mean would divide 0 by 0 in a gap.
        total = summed_weight(target, self.class_weights).clamp(min=1e-12)
        losses = [self._summed(refinement.flatten(0, 1), target) / total for refinement in logits]
        return torch.stack(losses).mean()

    def _summed(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        if self.kind == "focal":
            return summed_focal_loss(logits, target, self.class_weights, self.focal_gamma)
        return summed_cross_entropy(logits, target, self.class_weights, self.label_smoothing)
