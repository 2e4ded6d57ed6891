"""The loss over the labelled frames of sequences."""

from collections.abc import Sequence

import torch

from pipeline.training.cross_entropy import summed_cross_entropy, summed_weight


def sequence_loss(
    logits: Sequence[torch.Tensor], labels: torch.Tensor, weights: torch.Tensor
) -> torch.Tensor:
    """Weighted cross-entropy over labelled frames, mean over the refinements of a network.

    Args:
        logits: One (B, T, C) per refinement.
        labels: (B, T) classes, -1 where unlabelled or padding.
        weights: (C,) per class.

    Returns:
        Scalar; 0 where nothing is labelled, as in a window within a gap.
    """
    target = labels.flatten()
    # torch's own mean would divide 0 by 0 in a gap.
    total = summed_weight(target, weights).clamp(min=1e-12)
    losses = [
        summed_cross_entropy(refinement.flatten(0, 1), target, weights) / total
        for refinement in logits
    ]
    return torch.stack(losses).mean()
