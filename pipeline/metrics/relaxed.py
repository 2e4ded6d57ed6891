"""The relaxed-boundary metrics of the M2CAI16 and Cholec80 challenge script.

Around a transition, confusing neighbouring phases is forgiven for some seconds. The published
Matlab script (Evaluate.m) applies the mask of early transitions, computed on the LAST frames of a
segment, to its FIRST frames. Every published relaxed number carries that: mode "official" repeats
it to the letter, "corrected" puts the mask where the text says.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.metrics.bootstrap import every_video_once, weighted_mean
from pipeline.metrics.frame import nan_mean, nan_std
from pipeline.phases import CHOLEC80, M2CAI16
from pipeline.segments import Labels, segments

Mode = Literal["official", "corrected"]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Rule:
    """Classes, from 0, with a second forgiven neighbour.

    Attributes:
        late: After a late transition d = -2 is forgiven too, next to d = -1.
        early: Before an early transition d = 2 is forgiven too, next to d = 1.
    """

    late: frozenset[int]
    early: frozenset[int]


def rule_for(phases: Sequence[str]) -> Rule | None:
    """The rule for a dataset by its phase names in order; None where the script knows none."""
    if tuple(phases) == CHOLEC80:
        return Rule(late=frozenset({5, 6}), early=frozenset({3, 4, 5, 6}))
    if tuple(phases) == M2CAI16:
        return Rule(late=frozenset({6, 7}), early=frozenset({4, 5, 6, 7}))
    return None


def relaxed_difference(
    truth: Labels, prediction: Labels, rule: Rule, tolerance: int, mode: Mode
) -> Labels:
    """How far the prediction is off per frame, 0 where the rule forgives: (T,).

    Args:
        truth: (T,) classes.
        prediction: (T,) classes.
        rule: Which neighbours are forgiven.
        tolerance: Frames at either end of a segment: seconds times the rate of the sequence that
            is being scored.
        mode: See above.
    """
    difference = prediction - truth
    result = difference.copy()
    found = segments(truth)
    for phase, start, end in zip(found.label, found.start, found.end, strict=True):
        t = min(tolerance, int(end - start))
        first, last = slice(start, start + t), slice(end - t, end)
        late = difference[first] == -1
        if phase in rule.late:
            late |= difference[first] == -2
        early = difference[last] == 1
        if phase in rule.early:
            early |= difference[last] == 2
        result[first][late] = 0
        result[first if mode == "official" else last][early] = 0
    return result


@dataclass(frozen=True)
class RelaxedScores:
    """One video: accuracy, and (C,) scores with NaN for phases absent from the truth."""

    accuracy: float
    jaccard: Floats
    precision: Floats
    recall: Floats


def relaxed_scores(
    truth: Labels, prediction: Labels, difference: Labels, phases: int
) -> RelaxedScores:
    """Scores of one video as the script computes them, before clipping at 1.

    They can exceed 1, since a forgiven frame counts for its true and its predicted phase, and
    precision is infinite for a phase that was never predicted.
    """
    columns = np.arange(phases)[:, None]
    in_truth, in_prediction = truth == columns, prediction == columns  # (C, T)
    hit = ((in_truth | in_prediction) & (difference == 0)).sum(axis=1).astype(np.float64)
    union = (in_truth | in_prediction).sum(axis=1)
    absent = ~in_truth.any(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        jaccard, precision, recall = (
            np.where(absent, np.nan, hit / number)
            for number in (union, in_prediction.sum(axis=1), in_truth.sum(axis=1))
        )
    return RelaxedScores(float(np.mean(difference == 0)), jaccard, precision, recall)


def relaxed_figures(videos: Sequence[RelaxedScores], weights: Floats) -> dict[str, Floats]:
    """Accuracy over videos, the others over the means per phase, in every draw: (B,) each.

    Args:
        videos: V of them.
        weights: (B, V) how often each video is in each draw.
    """
    accuracy = np.array([video.accuracy for video in videos])
    figures = {"accuracy.mean": weighted_mean(accuracy, weights)}
    for name, values in per_phase(videos, weights).items():
        figures[f"{name}.mean"] = nan_mean(values, 1)
    return figures


def relaxed_spreads(videos: Sequence[RelaxedScores]) -> dict[str, float]:
    """Standard deviations (ddof = 1): accuracy over videos, the others over the phase means."""
    spreads = {"accuracy.std": nan_std(np.array([video.accuracy for video in videos]))}
    for name, values in per_phase(videos, every_video_once(len(videos))).items():
        spreads[f"{name}.std"] = nan_std(values[0])
    return spreads


def per_phase(videos: Sequence[RelaxedScores], weights: Floats) -> dict[str, Floats]:
    """Jaccard, precision and recall per phase: means over videos of the clipped scores, (B, C).

    Scores are clipped at 1 first, then averaged over videos, ignoring NaN.
    """
    return {
        name: weighted_mean(np.minimum([getattr(video, name) for video in videos], 1), weights)
        for name in ("jaccard", "precision", "recall")
    }
