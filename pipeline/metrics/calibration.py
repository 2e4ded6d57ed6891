"""Whether the softmax means what it says: reliability, ROC and precision over recall."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from pipeline.metrics.frame import nan_mean
from pipeline.segments import Labels

Floats = NDArray[np.float64]
Probabilities = NDArray[np.float32] | NDArray[np.float64]
BINS = 15


@dataclass(frozen=True)
class Reliability:
    """Frames of one video (or all) by confidence, in BINS bins of equal width.

    Attributes:
        frames: (..., BINS) how many.
        right: (..., BINS) how many of them are predicted rightly.
        confidence: (..., BINS) sum of their confidences.
    """

    frames: Floats
    right: Floats
    confidence: Floats


def reliability(truth: Labels, probabilities: Probabilities) -> Reliability:
    """Bins of the confidence, which is the probability of the predicted phase.

    Args:
        truth: (T,) classes of labelled frames.
        probabilities: (T, C), rows sum to 1.
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == truth
    # Bins ((i - 1) / 15, i / 15], as in Guo et al.
    place = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)

    def summed(values: Floats) -> Floats:
        return np.bincount(place, weights=values, minlength=BINS).astype(np.float64)

    return Reliability(
        summed(np.ones(len(truth))), summed(right.astype(np.float64)), summed(confidence)
    )


def stack(videos: Sequence[Reliability]) -> Reliability:
    """The bins of V videos: (V, BINS) each."""
    return Reliability(
        np.stack([v.frames for v in videos]),
        np.stack([v.right for v in videos]),
        np.stack([v.confidence for v in videos]),
    )


def calibration_error(bins: Reliability, weights: Floats) -> Floats:
    """Expected calibration error over the frames of all videos, in every draw: (B,).

    Mean over frames of |accuracy - confidence| of their bin. Guo et al., "On Calibration of
    Modern Neural Networks", ICML 2017, equation 3, with 15 bins.

    Args:
        bins: (V, BINS) of V videos.
        weights: (B, V) how often each video is in each draw.
    """
    gap = np.abs(weights @ bins.right - weights @ bins.confidence).sum(axis=1)
    result: Floats = gap / (weights @ bins.frames).sum(axis=1)
    return result


def ranking_figures(
    truth: Labels, probabilities: Probabilities
) -> tuple[dict[str, float], dict[str, Floats]]:
    """ROC AUC and average precision, one phase against the rest, over pooled frames.

    Args:
        truth: (T,) classes of labelled frames.
        probabilities: (T, C), rows sum to 1.

    Returns:
        roc_auc.macro and average_precision.macro: mean over the phases where defined; `.micro`:
        over all (frame, phase) pairs at once. And both per phase: (C,), NaN where the truth holds
        the phase in no frame or in every one. Values as scikit-learn defines them; average
        precision is the step-wise sum, not the trapezium under the curve.
    """
    one_hot = truth[:, None] == np.arange(probabilities.shape[1])
    auc, precision = np.full((2, probabilities.shape[1]), np.nan)
    for phase in np.flatnonzero(one_hot.any(axis=0) & ~one_hot.all(axis=0)):
        auc[phase] = roc_auc_score(one_hot[:, phase], probabilities[:, phase])
        precision[phase] = average_precision_score(one_hot[:, phase], probabilities[:, phase])
    flat = one_hot.ravel(), probabilities.ravel()
    mixed = not one_hot.all()  # with one phase alone there is no rest
    ranked = {
        "roc_auc.macro": float(nan_mean(auc, 0)),
        "roc_auc.micro": float(roc_auc_score(*flat)) if mixed else float("nan"),
        "average_precision.macro": float(nan_mean(precision, 0)),
        "average_precision.micro": (
            float(average_precision_score(*flat)) if mixed else float("nan")
        ),
    }
    return ranked, {"roc_auc": auc, "average_precision": precision}


def roc_points(
    truth: Labels, probabilities: Probabilities, phase: int
) -> tuple[Floats, Floats] | None:
    """False and true positive rates of one phase against the rest; None where undefined."""
    positive = truth == phase
    if not positive.any() or positive.all():
        return None
    false_rate, true_rate, _ = roc_curve(positive, probabilities[:, phase])
    return false_rate, true_rate
