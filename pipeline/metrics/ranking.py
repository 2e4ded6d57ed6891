"""How well probabilities rank frames or videos: ROC AUC and average precision."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.metrics.frame import nan_mean
from pipeline.scored_video import Probabilities
from pipeline.segments import Labels

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class PooledFrames:
    """The labelled frames of all videos, one after the other.

    Attributes:
        classes: C names.
        truth: (T,) classes.
        probabilities: (T, C), rows sum to 1.
    """

    classes: Sequence[str]
    truth: Labels
    probabilities: Probabilities


def ranking_figures(frames: PooledFrames) -> dict[str, float]:
    """ROC AUC and average precision, one class against the rest.

    Returns:
        calibration.roc_auc.macro and calibration.average_precision.macro: mean over the classes
        where defined; `.micro`: over all (frame, class) pairs at once. phase.NAME.roc_auc and
        phase.NAME.average_precision: NaN where the truth holds the class in no frame or in all.
    """
    one_hot = frames.truth[:, None] == np.arange(len(frames.classes))
    pairs = _once(one_hot.ravel(), frames.probabilities.ravel())
    each = [_once(one_hot[:, c], frames.probabilities[:, c]) for c in range(len(frames.classes))]
    figures = {}
    for i, name in enumerate(("roc_auc", "average_precision")):
        values = np.array([found[i] for found in each])
        figures[f"calibration.{name}.macro"] = float(nan_mean(values, 0))
        figures[f"calibration.{name}.micro"] = pairs[i]
        for phase, value in zip(frames.classes, values, strict=True):
            figures[f"phase.{phase}.{name}"] = float(value)
    return figures


def _once(positive: NDArray[np.bool_], score: Probabilities) -> tuple[float, float]:
    area, precision = ranking_in_draws(positive, score, np.ones((1, len(score))))
    return float(area[0]), float(precision[0])


def ranking_in_draws(
    positive: NDArray[np.bool_], score: Probabilities, draws: Floats
) -> tuple[Floats, Floats]:
    """ROC AUC and average precision in every draw, as scikit-learn defines them.

    Average precision is the step-wise sum, not the trapezium under the curve. scikit-learn itself
    takes one set of sample weights at a time, where here one sort serves all draws, and loading it
    would take a fifth of the evaluate stage on the demo. The tests hold both against each other.

    Args:
        positive: (N,) which videos or frames are of the class.
        score: (N,) its probability.
        draws: (B, N) how often each counts in each draw.

    Returns:
        Two (B,) arrays, NaN for draws that hold the class in no video or in all.
    """
    order, last_of_tie = _ranked(score)
    ranked = draws[:, order]
    hits = np.cumsum(ranked * positive[order], axis=1)[:, last_of_tie]  # (B, G)
    called = np.cumsum(ranked, axis=1)[:, last_of_tie]
    misses = called - hits
    new_hits, new_misses = (np.diff(x, axis=1, prepend=0) for x in (hits, misses))
    positives, negatives = hits[:, -1], misses[:, -1]
    with np.errstate(invalid="ignore", divide="ignore"):
        # Trapezia under the ROC curve; steps under precision over recall.
        auc = (new_misses * (hits - new_hits / 2)).sum(axis=1) / (positives * negatives)
        precision = np.where(called > 0, hits / called, 0.0)
        average = (new_hits * precision).sum(axis=1) / positives
    undefined = (positives == 0) | (negatives == 0)
    return np.where(undefined, np.nan, auc), np.where(undefined, np.nan, average)


def roc_points(
    truth: Labels, probabilities: Probabilities, wanted: int
) -> tuple[Floats, Floats] | None:
    """False and true positive rates of one class against the rest; None where undefined.

    From (0, 0) to (1, 1), the corners of the curve alone.
    """
    positive = truth == wanted
    if not positive.any() or positive.all():
        return None
    order, last_of_tie = _ranked(probabilities[:, wanted])
    hits = np.cumsum(positive[order])[last_of_tie]
    misses = last_of_tie + 1 - hits
    corner = np.r_[True, (np.diff(hits, 2) != 0) | (np.diff(misses, 2) != 0), True][: len(hits)]
    return np.r_[0.0, misses[corner] / misses[-1]], np.r_[0.0, hits[corner] / hits[-1]]


def _ranked(score: Probabilities) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The order of falling scores, and in it the last position of each group of equal ones."""
    order = np.argsort(-score, kind="stable")
    return order, np.flatnonzero(np.r_[np.diff(score[order]) != 0, True])
