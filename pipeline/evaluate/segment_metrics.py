"""Segmental metrics: order and overlap of runs instead of frames. Fractions in 0 to 1.

Lea et al., "Temporal Convolutional Networks for Action Segmentation and Detection", CVPR 2017;
Farha and Gall, "MS-TCN", CVPR 2019. A background class, where there is one, takes no part.
"""

from dataclasses import dataclass

import numpy as np

from pipeline.segments import Labels, Segments, segments


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
    taken, else a false positive. True runs that nobody took are false negatives.
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


def pooled_f1(videos: list[Matches]) -> float:
    """F1 from counts summed over videos (Farha and Gall)."""
    total = Matches(
        sum(video.tp for video in videos),
        sum(video.fp for video in videos),
        sum(video.fn for video in videos),
    )
    return total.f1


def _iou(p: Segments, g: Segments) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Intersection over union of every pair of runs, 0 where labels differ: (P, G)."""
    end = np.minimum(p.end[:, None], g.end)
    start = np.maximum(p.start[:, None], g.start)
    union = np.maximum(p.end[:, None], g.end) - np.minimum(p.start[:, None], g.start)
    # For runs apart the "union" includes the gap, but then the intersection is 0 anyway.
    iou = np.maximum(end - start, 0) / union
    return np.where(p.label[:, None] == g.label, iou, 0.0)


def _levenshtein(a: Labels, b: Labels) -> int:
    """Insertions, deletions and substitutions that turn one sequence into the other."""
    places = np.arange(len(b) + 1)
    row = places.copy()
    for number, label in enumerate(a, start=1):
        # Without insertions first; then an insertion costs 1 per place from any place before.
        changed = np.minimum(row[1:] + 1, row[:-1] + (b != label))
        row = np.minimum.accumulate(np.r_[number, changed] - places) + places
    return int(row[-1])
