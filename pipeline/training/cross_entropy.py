"""The weighted cross-entropy that the losses of frames and of sequences are made of."""

import torch
from torch.nn import functional

UNLABELLED = -1


def summed_cross_entropy(
    logits: torch.Tensor,
    labels: torch.Tensor,
    weights: torch.Tensor,
    label_smoothing: float = 0.0,
) -> torch.Tensor:
    """Sum over the labelled frames, each weighted by its class.

    Args:
        logits: (N, C), of any floating type; summed in float32.
        labels: (N,) classes, -1 where unlabelled.
        weights: (C,) per class.
        label_smoothing: Share of the target that all classes have alike.

    Returns:
        Scalar; divide by `summed_weight` for the mean.
    """
    return functional.cross_entropy(
        logits.float(),
        labels,
        weights,
        ignore_index=UNLABELLED,
        reduction="sum",
        label_smoothing=label_smoothing,
    )


def summed_focal_loss(
    logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor, gamma: float
) -> torch.Tensor:
    """Like `summed_cross_entropy`, with frames that are already right counted less.

    Lin et al., "Focal Loss for Dense Object Detection", 2017, equation 5.

    Args:
        logits: (N, C).
        labels: (N,) classes, -1 where unlabelled.
        weights: (C,) per class.
        gamma: 0 gives the cross-entropy.
    """
    known = labels != UNLABELLED
    classes = labels[known]
    log_p = functional.log_softmax(logits.float()[known], dim=1).gather(1, classes[:, None])[:, 0]
    return (-weights[classes] * (1 - log_p.exp()) ** gamma * log_p).sum()


def summed_weight(labels: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Sum of the class weights of the labelled frames: a scalar.

    Args:
        labels: Classes, -1 where unlabelled, of any shape.
        weights: (C,) per class.
    """
    return weights[labels[labels != UNLABELLED]].sum()
