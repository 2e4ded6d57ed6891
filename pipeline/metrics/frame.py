"""Strict frame-wise metrics: no tolerance, undefined cells left out, every mean by its name.

Funke, Rivoir, Speidel: "Metrics Matter in Surgical Phase Recognition", 2023. All functions take
labelled frames only; fractions in 0 to 1.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.metrics.bootstrap import mean_over_videos
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


def confusion(truth: Labels, prediction: Labels, num_classes: int) -> Counts:
    """Frames by true class (rows) and predicted class (columns): (C, C).

    Raises:
        ValueError: Lengths differ, or a label is outside 0 to C - 1.
    """
    if len(truth) != len(prediction):
        raise ValueError(f"{len(truth)} true labels, {len(prediction)} predicted ones")
    both = np.concatenate([truth, prediction])
    if len(both) and not (both.min() >= 0 and both.max() < num_classes):
        raise ValueError(
            f"labels from {both.min()} to {both.max()}, allowed: 0 to {num_classes - 1}"
        )
    # Not scikit-learn's confusion_matrix: it drops labels outside the classes without a word,
    # refuses empty input, and takes 4 ms for an hour at 1 fps, where this takes 0.03 ms.
    cells = np.bincount(truth * num_classes + prediction, minlength=num_classes**2)
    return cells.reshape(num_classes, num_classes).astype(np.int64)


def scores(matrix: Counts | Floats) -> Scores:
    """Scores per class from confusion matrices (..., C, C).

    Precision is NaN where a class is never predicted, recall where it is absent from the truth,
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


def frame_figures(matrices: Counts, draws: Floats) -> dict[str, Floats]:
    """The means that papers mix up, each by its name, in every draw of videos.

    Args:
        matrices: (V, C, C) one confusion matrix per video.
        draws: (B, V) how often each video counts in each draw.

    Returns:
        (B,) per key. frame.accuracy.mean: over videos; frame.accuracy.pooled: over all frames. For
        each of precision, recall, jaccard and f1: `.mean` over all (video, class) cells;
        `.per_phase_mean` over videos for each class, then over classes; `.per_video_mean` over the
        classes of each video, then over videos; `.pooled` over the classes of the summed confusion
        matrix. frame.f1_of_means: harmonic mean of the per-phase means of precision and recall.
        That is not F1, but some papers report it.
    """
    total = summed(matrices, draws)
    cells, pooled = scores(matrices), scores(total)
    hits, num_frames = np.trace(total, axis1=1, axis2=2), total.sum(axis=(1, 2))
    figures = {
        "frame.accuracy.mean": mean_over_videos(accuracies(matrices), draws),
        "frame.accuracy.pooled": hits / num_frames,
    }
    for name in SCORES:
        cell: Floats = getattr(cells, name)  # (V, C)
        defined = ~np.isnan(cell)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = (draws @ np.where(defined, cell, 0).sum(1)) / (draws @ defined.sum(1))
        figures[f"frame.{name}.mean"] = mean
        figures[f"frame.{name}.per_phase_mean"] = nan_mean(mean_over_videos(cell, draws), 1)
        figures[f"frame.{name}.per_video_mean"] = mean_over_videos(nan_mean(cell, 1), draws)
        figures[f"frame.{name}.pooled"] = nan_mean(getattr(pooled, name), 1)
    precision = figures["frame.precision.per_phase_mean"]
    recall = figures["frame.recall.per_phase_mean"]
    both = precision + recall
    figures["frame.f1_of_means"] = np.divide(
        2 * precision * recall, both, out=np.zeros_like(precision), where=both > 0
    )
    return figures


def frame_deviations(matrices: Counts) -> dict[str, float]:
    """Standard deviations (ddof = 1), each over what its key says, as in frame_figures."""
    cells = scores(matrices)
    deviations = {"frame.accuracy.std": nan_std(accuracies(matrices))}
    for name in SCORES:
        cell = getattr(cells, name)
        deviations[f"frame.{name}.std"] = nan_std(cell.ravel())
        deviations[f"frame.{name}.per_phase_std"] = nan_std(nan_mean(cell, 0))
        deviations[f"frame.{name}.per_video_std"] = nan_std(nan_mean(cell, 1))
    return deviations


def accuracies(matrices: Counts) -> Floats:
    """Share of right frames per video: (V, C, C) to (V,)."""
    hits: Floats = np.trace(matrices, axis1=1, axis2=2) / matrices.sum(axis=(1, 2))
    return hits


def summed(matrices: Counts, draws: Floats) -> Floats:
    """The confusion matrix of all videos in each draw: (V, C, C) to (B, C, C)."""
    total: Floats = np.tensordot(draws, matrices.astype(np.float64), axes=1)
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
