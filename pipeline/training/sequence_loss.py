"""The loss over labelled frames."""

import torch
from torch.nn import functional


def sequence_loss(
    logits: list[torch.Tensor], labels: torch.Tensor, weights: torch.Tensor
) -> torch.Tensor:
    """Weighted cross-entropy over labelled frames, mean over the stages of a network.

    Args:
        logits: One (B, T, C) per stage.
        labels: (B, T) classes, -1 where unlabelled or padding.
        weights: (C,) per class.

    Returns:
        Scalar; 0 where nothing is labelled, as in a window within a gap.
    """
    target = labels.flatten()
    # The mean over weights, which torch's own reduction would divide 0 by 0 in a gap.
    total = weights[target[target >= 0]].sum().clamp(min=1e-12)
    losses = [
        functional.cross_entropy(
            stage.flatten(0, 1).float(), target, weights, ignore_index=-1, reduction="sum"
        )
        / total
        for stage in logits
    ]
    return torch.stack(losses).mean()
