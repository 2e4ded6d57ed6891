"""Whether the softmax means what it says: how often it is right at each confidence."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.scored_video import Probabilities
from pipeline.segments import Labels

Floats = NDArray[np.float64]
BINS = 15


@dataclass(frozen=True)
class Reliability:
    """Frames of one video (or all) by confidence, in BINS bins of equal width.

    Attributes:
        count: (..., BINS) frames.
        right: (..., BINS) frames that are predicted rightly.
        confidence: (..., BINS) sum of the frames' confidences.
    """

    count: Floats
    right: Floats
    confidence: Floats


def reliability(truth: Labels, probabilities: Probabilities) -> Reliability:
    """Bins of the confidence, which is the probability of the predicted class.

    Args:
        truth: (T,) classes of labelled frames.
        probabilities: (T, C), rows sum to 1.
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == truth
    # Bins ((i - 1) / 15, i / 15], as in Guo et al.
    number = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)

    def summed(values: Floats) -> Floats:
        return np.bincount(number, weights=values, minlength=BINS).astype(np.float64)

    return Reliability(
        summed(np.ones(len(truth))), summed(right.astype(np.float64)), summed(confidence)
    )


def stack(videos: Sequence[Reliability]) -> Reliability:
    """The bins of V videos: (V, BINS) each."""
    return Reliability(
        np.stack([v.count for v in videos]),
        np.stack([v.right for v in videos]),
        np.stack([v.confidence for v in videos]),
    )


def calibration_error(bins: Reliability, draws: Floats) -> Floats:
    """Expected calibration error over the frames of all videos, in every draw: (B,).

    Mean over frames of |accuracy - confidence| of their bin. Guo et al., "On Calibration of
    Modern Neural Networks", ICML 2017, equation 3, with 15 bins.

    Args:
        bins: (V, BINS) of V videos.
        draws: (B, V) how often each video counts in each draw.
    """
    gap = np.abs(draws @ bins.right - draws @ bins.confidence).sum(axis=1)
    result: Floats = gap / (draws @ bins.count).sum(axis=1)
    return result
