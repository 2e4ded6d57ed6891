"""Whether two results on the same videos differ by more than chance."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from pipeline.metrics.bootstrap import SEED, Floats, every_video_once
from pipeline.metrics.measure import Measured, measure

ALL_UP_TO = 13
"""Videos up to which all 2^V swaps are tried."""
SWAPS = 10_000


def swap_test(a: Measured, b: Measured, key: str) -> float:
    """Two-sided p-value of a paired permutation test over videos.

    If neither result is better, each video's two predictions might as well be swapped. The metric
    is computed anew after each swap, so that the test holds for those that are no mean over videos,
    such as macro F1 (Noreen, "Computer-Intensive Methods for Testing Hypotheses", 1989). Exact for
    few videos; the smallest p-value of V videos is 2 / 2^V.

    Args:
        a: V videos.
        b: The same videos, in the same order.
        key: Dotted key of the metric.

    Returns:
        NaN where the metric is undefined for either.
    """
    names = list(a.scored.videos)
    both = {f"a {name}": a.scored.videos[name] for name in names}
    both |= {f"b {name}": b.scored.videos[name] for name in names}
    scored = a.scored
    measured = measure(both, scored.classes, scored.label_fps, scored.relaxed_seconds)
    measured = _only(measured, key)
    kept = _swaps(len(names))
    one = measured.figures(np.hstack([kept, 1 - kept]))[key]
    other = measured.figures(np.hstack([1 - kept, kept]))[key]
    with np.errstate(invalid="ignore"):
        differences = np.abs(one - other)
    if np.isnan(differences[0]):
        return float("nan")
    # A swap that leaves the metric undefined speaks for chance: better too careful. The margin is
    # for sums in another order.
    as_large = ~(differences < differences[0] - 1e-12)
    return float(np.mean(as_large))


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values that hold together (Holm, Scandinavian Journal of Statistics 6, 1979); NaN stays."""
    adjusted = [float("nan")] * len(p_values)
    known = sorted((p, i) for i, p in enumerate(p_values) if not np.isnan(p))
    largest = 0.0
    for rank, (p, i) in enumerate(known):
        largest = max(largest, min(1.0, (len(known) - rank) * p))
        adjusted[i] = largest
    return adjusted


def _swaps(num_videos: int) -> Floats:
    """(S, V) whether each video keeps its place; the first row keeps all."""
    if num_videos <= ALL_UP_TO:
        return np.array(list(product((1.0, 0.0), repeat=num_videos)))
    drawn = np.random.default_rng(SEED).integers(0, 2, size=(SWAPS, num_videos))
    kept: NDArray[np.float64] = drawn.astype(np.float64)
    kept[0] = 1
    return kept


def _only(measured: Measured, key: str) -> Measured:
    """The family of one metric: the others need not be computed ten thousand times."""
    once = every_video_once(len(measured.scored.videos))
    found = [pair for pair in measured.found if key in pair[0].figures(pair[1], once)]
    return replace(measured, found=found)
