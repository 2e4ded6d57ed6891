"""The best epoch and the end of a training by a validation value of one's choice.

history.py has the same by macro F1, for the fine-tuning of backbones, whose results carry its code.
"""

from collections.abc import Sequence
from typing import Literal

from pipeline.training.history import Epoch

Monitor = Literal["macro_f1", "accuracy", "loss"]


def best_epoch(history: Sequence[Epoch], monitor: Monitor) -> int:
    """The row, from 1, with the best validation value, the first of equals.

    Without validation it is the last row; without rows it is 0.

    Args:
        history: All rows with validation values, or none.
        monitor: The highest `macro_f1` or `accuracy` is the best, and the lowest `loss`.
    """
    scores = [_score(row, monitor) for row in history]
    known = [score for score in scores if score is not None]
    return scores.index(max(known)) + 1 if known else len(scores)


def is_finished(history: Sequence[Epoch], epochs: int, early_stop: int, monitor: Monitor) -> bool:
    """Whether all epochs are trained, or `early_stop` of them in a row were not better."""
    if len(history) >= epochs:
        return True
    return early_stop > 0 and len(history) - best_epoch(history, monitor) >= early_stop


def _score(row: Epoch, monitor: Monitor) -> float | None:
    """The monitored value so that more is better; None without validation."""
    match monitor:
        case "macro_f1":
            return row.val_macro_f1
        case "accuracy":
            return row.val_accuracy
        case "loss":
            return None if row.val_loss is None else -row.val_loss
