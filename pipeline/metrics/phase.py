"""Scores of each phase alone, from the frames of all videos pooled."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.metrics.frame import SCORES, Counts, scores, summed

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class PhaseStatistics:
    """What the scores of each phase are made of.

    Attributes:
        classes: C names.
        matrices: (V, C, C) one confusion matrix per video.
    """

    classes: Sequence[str]
    matrices: Counts


def phase_figures(statistics: PhaseStatistics, draws: Floats) -> dict[str, Floats]:
    """phase.NAME.precision, recall, jaccard and f1 in every draw of videos: (B,) each."""
    pooled = scores(summed(statistics.matrices, draws))  # (B, C) each
    return {
        f"phase.{name}.{score}": getattr(pooled, score)[:, i]
        for score in SCORES
        for i, name in enumerate(statistics.classes)
    }


def phase_counts(statistics: PhaseStatistics) -> dict[str, float]:
    """phase.NAME.frames: labelled frames of each phase."""
    counts = statistics.matrices.sum(axis=(0, 2))
    return {
        f"phase.{name}.frames": int(n) for name, n in zip(statistics.classes, counts, strict=True)
    }
