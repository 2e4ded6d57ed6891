"""Segmental metrics: order and overlap of runs instead of frames. Fractions in 0 to 1.

Lea et al., "Temporal Convolutional Networks for Action Segmentation and Detection", CVPR 2017;
Farha and Gall, "MS-TCN", CVPR 2019. A background class, where there is one, takes no part.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.metrics.bootstrap import mean_over_videos
from pipeline.metrics.frame import nan_std
from pipeline.segments import Labels, Segments, segments

Floats = NDArray[np.float64]
OVERLAPS = (10, 25, 50)
"""Percent of intersection over union from which a run counts as found: k of F1@k."""


@dataclass(frozen=True)
class Matches:
    """True positives, false positives and false negatives among the runs of a video."""

    tp: int
    fp: int
    fn: int

    @property
    def f1(self) -> float:
        """2 TP / (2 TP + FP + FN); 1 where there is no run in either."""
        total = 2 * self.tp + self.fp + self.fn
        return 2 * self.tp / total if total else 1.0


def edit_score(truth: Labels, prediction: Labels, background: int | None = None) -> float:
    """1 - Levenshtein distance of the run labels / the larger number of runs."""
    g = segments(truth).without(background).label
    p = segments(prediction).without(background).label
    if len(g) == 0 and len(p) == 0:
        return 1.0
    return 1 - _levenshtein(p, g) / max(len(p), len(g))


def match_runs(
    truth: Labels, prediction: Labels, overlap: float, background: int | None = None
) -> Matches:
    """Match each predicted run to the true run it overlaps most.

    In order, each predicted run takes the true run of the largest IoU, which counts as 0 where
    labels differ. It is a true positive when the IoU reaches `overlap` and that run is not yet
    taken, else a false positive. True runs that none took are false negatives.
    """
    g = segments(truth).without(background)
    p = segments(prediction).without(background)
    if len(g) == 0 or len(p) == 0:
        return Matches(0, len(p), len(g))
    iou = _iou(p, g)
    best = iou.argmax(axis=1)
    good = iou[np.arange(len(p)), best] >= overlap
    taken = np.unique(best[good])
    return Matches(len(taken), len(p) - len(taken), len(g) - len(taken))


def over_segmentation(truth: Labels, prediction: Labels, background: int | None = None) -> float:
    """Predicted runs / true runs; 1 is right, more is flicker. NaN where there is no true run."""
    runs = len(segments(truth).without(background))
    return len(segments(prediction).without(background)) / runs if runs else float("nan")


@dataclass(frozen=True)
class SegmentStatistics:
    """What the segmental metrics of V videos are made of.

    Attributes:
        edit: (V,) edit scores.
        over_segmentation: (V,) predicted runs / true runs.
        matches: (V, 3, 3) true positives, false positives, false negatives at each of OVERLAPS.
    """

    edit: Floats
    over_segmentation: Floats
    matches: Floats


def segment_statistics(
    videos: Sequence[tuple[Labels, Labels]], background: int | None = None
) -> SegmentStatistics:
    """From truth and prediction of each video, labelled frames only."""
    matches = [
        [match_runs(g, p, percent / 100, background) for percent in OVERLAPS] for g, p in videos
    ]
    return SegmentStatistics(
        edit=np.array([edit_score(g, p, background) for g, p in videos]),
        over_segmentation=np.array([over_segmentation(g, p, background) for g, p in videos]),
        matches=np.array([[(m.tp, m.fp, m.fn) for m in row] for row in matches], dtype=np.float64),
    )


def segment_figures(statistics: SegmentStatistics, draws: Floats) -> dict[str, Floats]:
    """Means in every draw of videos: (B,) per key.

    segment.edit.mean and segment.over_segmentation.mean over videos; segment.f1_K.pooled from
    counts summed over videos (Farha and Gall), segment.f1_K.per_video_mean the mean of each
    video's F1 (Lea et al.).
    """
    figures = {
        "segment.edit.mean": mean_over_videos(statistics.edit, draws),
        "segment.over_segmentation.mean": mean_over_videos(statistics.over_segmentation, draws),
    }
    pooled = _f1(np.tensordot(draws, statistics.matches, axes=1))  # (B, 3)
    single = mean_over_videos(_f1(statistics.matches), draws)
    for i, percent in enumerate(OVERLAPS):
        figures[f"segment.f1_{percent}.pooled"] = pooled[:, i]
        figures[f"segment.f1_{percent}.per_video_mean"] = single[:, i]
    return figures


def segment_deviations(statistics: SegmentStatistics) -> dict[str, float]:
    """Standard deviations (ddof = 1) over videos."""
    deviations = {
        "segment.edit.std": nan_std(statistics.edit),
        "segment.over_segmentation.std": nan_std(statistics.over_segmentation),
    }
    for percent, values in zip(OVERLAPS, _f1(statistics.matches).T, strict=True):
        deviations[f"segment.f1_{percent}.per_video_std"] = nan_std(values)
    return deviations


def _f1(counts: Floats) -> Floats:
    """2 TP / (2 TP + FP + FN) of counts (..., 3); 1 where there is no run in either."""
    double = 2 * counts[..., 0]
    total = double + counts[..., 1] + counts[..., 2]
    return np.divide(double, total, out=np.ones_like(total), where=total > 0)


def _iou(p: Segments, g: Segments) -> Floats:
    """Intersection over union of every pair of runs, 0 where labels differ: (P, G)."""
    end = np.minimum(p.end[:, None], g.end)
    start = np.maximum(p.start[:, None], g.start)
    union = np.maximum(p.end[:, None], g.end) - np.minimum(p.start[:, None], g.start)
    # Between runs that do not meet, the "union" includes the gap; their intersection is 0 anyway.
    iou = np.maximum(end - start, 0) / union
    return np.where(p.label[:, None] == g.label, iou, 0.0)


def _levenshtein(a: Labels, b: Labels) -> int:
    """Insertions, deletions and substitutions that turn one sequence into the other."""
    column = np.arange(len(b) + 1)
    row = column.copy()
    for number, label in enumerate(a, start=1):
        # First without insertions; then an insertion costs 1 per column from any column before.
        changed = np.minimum(row[1:] + 1, row[:-1] + (b != label))
        row = np.minimum.accumulate(np.r_[number, changed] - column) + column
    return int(row[-1])
