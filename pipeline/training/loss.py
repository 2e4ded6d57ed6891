"""What the training loop asks of a loss."""

from collections.abc import Sequence
from typing import Protocol

import torch


class Loss(Protocol):
    """Logits and labels to a number.

    Attributes:
        class_weights: (K,) of the label numbers; lies on the device of the training.
    """

    @property
    def class_weights(self) -> torch.Tensor:  # noqa: D102
        ...

    def __call__(self, logits: Sequence[torch.Tensor], labels: torch.Tensor) -> torch.Tensor:
        """The loss of a batch, a scalar.

        Args:
            logits: One (B, T, C) per refinement, or (B, 1, C) for whole videos.
            labels: (B, T) numbers, -1 where unlabelled or padding.
        """
        ...
