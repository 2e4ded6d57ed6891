"""The truncated mean squared error that keeps neighbouring frames in one phase."""

from collections.abc import Sequence

import torch
from torch.nn import functional

# The paper's threshold is 4 on the difference of log-probabilities.
_LARGEST = 16.0


def smoothing_loss(logits: Sequence[torch.Tensor], mask: torch.Tensor) -> torch.Tensor:
    """T-MSE of Farha and Gall, "MS-TCN", CVPR 2019, equation 9, averaged over the refinements.

    The squared difference of log-probabilities from frame to frame, clamped at 16. No gradient
    goes to the earlier frame. The paper adds up the losses of its stages; the mean goes with the
    training's cross-entropy, which is a mean over them too.

    Args:
        logits: (B, T, C) of each refinement.
        mask: (B, T) bool, true for frames.

    Returns:
        A scalar; 0 where no video has two frames.
    """
    both = mask[:, 1:] & mask[:, :-1]
    pairs = both.sum().clamp(min=1)
    losses = []
    for one in logits:
        log_p = functional.log_softmax(one.float(), dim=2)
        change = (log_p[:, 1:] - log_p[:, :-1].detach()).square().clamp(max=_LARGEST)
        losses.append((change.mean(dim=2) * both).sum() / pairs)
    return torch.stack(losses).mean()
