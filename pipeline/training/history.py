"""The rows of a training's curves, and what follows from them: the best epoch and the end."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import PipelineError


@dataclass(frozen=True)
class Epoch:
    """One row of the curves. Validation values are None without validation videos.

    Attributes:
        epoch: From 1.
        lr: Learning rate.
        train_loss: Mean over the steps of the epoch.
        val_loss: Mean over the validation data.
        val_accuracy: Of all validation frames pooled, 0 to 1.
        val_macro_f1: Of all validation frames pooled, 0 to 1.
    """

    epoch: int
    lr: float
    train_loss: float
    val_loss: float | None = None
    val_accuracy: float | None = None
    val_macro_f1: float | None = None


E = TypeVar("E", bound=Epoch)


def validated(row: E, loss: float, truth: NDArray[np.int64], prediction: NDArray[np.int64]) -> E:
    """The row with its validation values.

    Args:
        row: With the values of the training.
        loss: Of the validation data.
        truth: (N,) classes of all labelled validation frames.
        prediction: (N,) predicted classes of the same frames.
    """
    return replace(
        row,
        val_loss=rounded(loss),
        val_accuracy=rounded(float(np.mean(truth == prediction))),
        val_macro_f1=rounded(macro_f1(truth, prediction)),
    )


def macro_f1(truth: NDArray[np.int64], prediction: NDArray[np.int64]) -> float:
    """Mean F1 of the classes that occur in truth or prediction, over all frames pooled.

    As scikit-learn's f1_score, which takes a second to load and 10 ms for each epoch.

    Args:
        truth: (N,) classes.
        prediction: (N,) classes.
    """
    count = int(max(truth.max(), prediction.max())) + 1
    right = np.bincount(truth[truth == prediction], minlength=count)
    both = np.bincount(truth, minlength=count) + np.bincount(prediction, minlength=count)
    occurs = both > 0
    return float(np.mean(2 * right[occurs] / both[occurs]))


def best_epoch(history: Sequence[Epoch]) -> int:
    """The row, from 1, with the highest validation macro F1, the first of equals.

    Without validation it is the last row; without rows it is 0.
    """
    best, highest = 0, -math.inf
    for number, row in enumerate(history, start=1):
        if row.val_macro_f1 is None:
            best = number
        elif row.val_macro_f1 > highest:
            best, highest = number, row.val_macro_f1
    return best


def is_finished(history: Sequence[Epoch], epochs: int, early_stop: int) -> bool:
    """Whether all epochs are trained, or `early_stop` of them in a row were not better."""
    if len(history) >= epochs:
        return True
    return early_stop > 0 and len(history) - best_epoch(history) >= early_stop


def check_finite(name: str, loss: float | None, epoch: int, advice: str) -> None:
    """Stop a training that has lost its way.

    Args:
        name: Which loss it is, such as "train: the validation loss".
        loss: Its value, if there is one.
        epoch: From 1.
        advice: What the user can change.

    Raises:
        PipelineError: The loss is infinite or not a number.
    """
    if loss is not None and not math.isfinite(loss):
        raise PipelineError(f"{name} of epoch {epoch} is {loss}. {advice}")


def rounded(value: float) -> float:
    """Six digits after the point, as tables and headers hold them."""
    return round(value, 6)
