"""Strict frame-wise metrics: no tolerance, undefined cells left out, every mean by its name.

Funke, Rivoir, Speidel: "Metrics Matter in Surgical Phase Recognition", 2023. All functions take
labelled frames only; fractions in 0 to 1.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.segments import Labels

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Scores:
    """Precision, recall, Jaccard and F1, NaN where undefined; arrays of one shape (..., C)."""

    precision: Floats
    recall: Floats
    jaccard: Floats
    f1: Floats


def confusion(truth: Labels, prediction: Labels, phases: int) -> NDArray[np.int64]:
    """Frames by true phase (rows) and predicted phase (columns): (C, C).

    Raises:
        ValueError: Lengths differ, or a label is outside 0 to C - 1.
    """
    if len(truth) != len(prediction):
        raise ValueError(f"{len(truth)} true labels, {len(prediction)} predicted ones")
    both = np.concatenate([truth, prediction])
    if len(both) and not (both.min() >= 0 and both.max() < phases):
        raise ValueError(f"labels from {both.min()} to {both.max()}, allowed: 0 to {phases - 1}")
    cells = np.bincount(truth * phases + prediction, minlength=phases * phases)
    return cells.reshape(phases, phases).astype(np.int64)


def scores(matrix: NDArray[np.int64]) -> Scores:
    """Scores per phase from confusion matrices (..., C, C).

    Precision is NaN where a phase is never predicted, recall where it is absent from the truth,
    Jaccard and F1 only where it is absent from both: a phase that is hallucinated into a video
    scores 0, it does not vanish.
    """
    hit = np.diagonal(matrix, axis1=-2, axis2=-1).astype(np.float64)
    truth = matrix.sum(axis=-1).astype(np.float64)
    predicted = matrix.sum(axis=-2).astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        return Scores(
            precision=hit / predicted,
            recall=hit / truth,
            jaccard=hit / (truth + predicted - hit),
            f1=2 * hit / (truth + predicted),
        )


def aggregates(cells: Floats, pooled: Floats) -> dict[str, float]:
    """The means that papers mix up, each by its name; std with ddof = 1 over what it names.

    Args:
        cells: (V, C) one score per video and phase, NaN where undefined.
        pooled: (C,) the same score from the summed confusion matrix.

    Returns:
        mean, std: over all cells. per_phase_*: mean over videos first, then over phases.
        per_video_*: mean over the video's phases first, then over videos. pooled: mean over
        phases of the pooled score.
    """
    per_phase, per_video = nan_mean(cells, 0), nan_mean(cells, 1)
    return {
        "mean": float(nan_mean(cells.ravel(), 0)),
        "std": nan_std(cells.ravel()),
        "per_phase_mean": float(nan_mean(per_phase, 0)),
        "per_phase_std": nan_std(per_phase),
        "per_video_mean": float(nan_mean(per_video, 0)),
        "per_video_std": nan_std(per_video),
        "pooled": float(nan_mean(pooled, 0)),
    }


def f1_of_means(cells: Scores) -> float:
    """Harmonic mean of averaged precision and averaged recall. Not F1; some papers report it."""
    precision = float(nan_mean(nan_mean(cells.precision, 0), 0))
    recall = float(nan_mean(nan_mean(cells.recall, 0), 0))
    total = precision + recall
    return 2 * precision * recall / total if total else 0.0


def nan_mean(values: Floats, axis: int) -> Floats:
    """Mean over an axis without NaN; NaN where nothing is left, and no warning."""
    defined = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        mean: Floats = np.where(defined, values, 0).sum(axis=axis) / defined.sum(axis=axis)
    return mean


def nan_std(values: Floats) -> float:
    """Standard deviation with ddof = 1 without NaN; NaN for fewer than two values."""
    defined = values[~np.isnan(values)]
    return float(np.std(defined, ddof=1)) if len(defined) > 1 else float("nan")
