"""Strict frame-wise metrics: no tolerance, undefined cells left out, every mean by its name.

Funke, Rivoir, Speidel: "Metrics Matter in Surgical Phase Recognition", 2023. All functions take
labelled frames only; fractions in 0 to 1.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.metrics.bootstrap import weighted_mean
from pipeline.segments import Labels

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
SCORES = ("precision", "recall", "jaccard", "f1")


@dataclass(frozen=True)
class Scores:
    """Precision, recall, Jaccard and F1, NaN where undefined; arrays of one shape (..., C)."""

    precision: Floats
    recall: Floats
    jaccard: Floats
    f1: Floats


def confusion(truth: Labels, prediction: Labels, phases: int) -> Counts:
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


def scores(matrix: Counts | Floats) -> Scores:
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


def frame_figures(matrices: Counts, weights: Floats) -> dict[str, Floats]:
    """The means that papers mix up, each by its name, in every draw of videos.

    Args:
        matrices: (V, C, C) one confusion matrix per video.
        weights: (B, V) how often each video is in each draw.

    Returns:
        (B,) per name. accuracy.mean: over videos; accuracy.pooled: over all frames. For each of
        precision, recall, jaccard and f1: `.mean` over all (video, phase) cells; `.per_phase_mean`
        over videos for each phase, then over phases; `.per_video_mean` over the phases of each
        video, then over videos; `.pooled` over the phases of the summed confusion matrix.
        f1_of_means: harmonic mean of per-phase precision and recall. That is not F1, but some
        papers report it.
    """
    cells, pooled = scores(matrices), scores(_summed(matrices, weights))
    total = _summed(matrices, weights)
    hits, frames = np.trace(total, axis1=1, axis2=2), total.sum(axis=(1, 2))
    figures = {
        "accuracy.mean": weighted_mean(accuracies(matrices), weights),
        "accuracy.pooled": hits / frames,
    }
    for name in SCORES:
        cell: Floats = getattr(cells, name)  # (V, C)
        defined = ~np.isnan(cell)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = (weights @ np.where(defined, cell, 0).sum(1)) / (weights @ defined.sum(1))
        figures[f"{name}.mean"] = mean
        figures[f"{name}.per_phase_mean"] = nan_mean(weighted_mean(cell, weights), 1)
        figures[f"{name}.per_video_mean"] = weighted_mean(nan_mean(cell, 1), weights)
        figures[f"{name}.pooled"] = nan_mean(getattr(pooled, name), 1)
    precision, recall = figures["precision.per_phase_mean"], figures["recall.per_phase_mean"]
    total_score = precision + recall
    figures["f1_of_means"] = np.divide(
        2 * precision * recall, total_score, out=np.zeros_like(precision), where=total_score > 0
    )
    return figures


def frame_spreads(matrices: Counts) -> dict[str, float]:
    """Standard deviations (ddof = 1), each over what its name says, as in frame_figures."""
    cells = scores(matrices)
    spreads = {"accuracy.std": nan_std(accuracies(matrices))}
    for name in SCORES:
        cell = getattr(cells, name)
        spreads[f"{name}.std"] = nan_std(cell.ravel())
        spreads[f"{name}.per_phase_std"] = nan_std(nan_mean(cell, 0))
        spreads[f"{name}.per_video_std"] = nan_std(nan_mean(cell, 1))
    return spreads


def phase_figures(matrices: Counts, weights: Floats) -> dict[str, Floats]:
    """Scores of each phase from the frames of all videos pooled: (B, C) per name of SCORES."""
    pooled = scores(_summed(matrices, weights))
    return {name: getattr(pooled, name) for name in SCORES}


def accuracies(matrices: Counts) -> Floats:
    """Share of right frames per video: (V, C, C) to (V,)."""
    hits: Floats = np.trace(matrices, axis1=1, axis2=2) / matrices.sum(axis=(1, 2))
    return hits


def _summed(matrices: Counts, weights: Floats) -> Floats:
    total: Floats = np.tensordot(weights, matrices.astype(np.float64), axes=1)  # (B, C, C)
    return total


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
