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

    Values are as scikit-learn defines them; average precision is the step-wise sum, not the
    trapezium under the curve.

    Returns:
        calibration.roc_auc.macro and calibration.average_precision.macro: mean over the classes
        where defined; `.micro`: over all (frame, class) pairs at once. phase.NAME.roc_auc and
        phase.NAME.average_precision: NaN where the truth holds the class in no frame or in all.
    """
    # Here and not above: scikit-learn takes a second to load, and `compare` does without.
    from sklearn.metrics import average_precision_score, roc_auc_score

    one_hot = frames.truth[:, None] == np.arange(len(frames.classes))
    mixed = not one_hot.all()  # with a single class there is no rest
    figures = {}
    for name, function in (
        ("roc_auc", roc_auc_score),
        ("average_precision", average_precision_score),
    ):
        each = np.full(len(frames.classes), np.nan)
        for c in np.flatnonzero(one_hot.any(axis=0) & ~one_hot.all(axis=0)):
            each[c] = function(one_hot[:, c], frames.probabilities[:, c])
        micro = function(one_hot.ravel(), frames.probabilities.ravel()) if mixed else np.nan
        figures[f"calibration.{name}.macro"] = float(nan_mean(each, 0))
        figures[f"calibration.{name}.micro"] = float(micro)
        for phase, value in zip(frames.classes, each, strict=True):
            figures[f"phase.{phase}.{name}"] = float(value)
    return figures


def roc_points(
    truth: Labels, probabilities: Probabilities, wanted: int
) -> tuple[Floats, Floats] | None:
    """False and true positive rates of one class against the rest; None where undefined."""
    from sklearn.metrics import roc_curve

    positive = truth == wanted
    if not positive.any() or positive.all():
        return None
    false_rate, true_rate, _ = roc_curve(positive, probabilities[:, wanted])
    return false_rate, true_rate


def ranking_in_draws(
    positive: NDArray[np.bool_], score: Floats, draws: Floats
) -> tuple[Floats, Floats]:
    """ROC AUC and average precision in every draw, as scikit-learn defines them.

    scikit-learn takes one set of sample weights at a time; here one sort serves all draws.

    Args:
        positive: (V,) which videos are of the class.
        score: (V,) its probability.
        draws: (B, V) how often each video counts in each draw.

    Returns:
        Two (B,) arrays, NaN for draws that hold the class in no video or in all.
    """
    order = np.argsort(-score, kind="stable")
    last_of_tie = np.flatnonzero(np.r_[np.diff(score[order]) != 0, True])
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
