"""The relaxed-boundary metrics of the M2CAI16 and Cholec80 challenge script.

Around a transition, confusing neighbouring phases is forgiven for some seconds. The published
Matlab script (Evaluate.m) applies the mask of early transitions, computed on the LAST frames of a
segment, to its FIRST frames. Every published relaxed number carries that: mode "official" repeats
it to the letter, "corrected" puts the mask where the text says.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.metrics.bootstrap import every_video_once, mean_over_videos
from pipeline.metrics.frame import nan_mean, nan_std
from pipeline.phases import CHOLEC80, M2CAI16
from pipeline.segments import Labels, segments

Mode = Literal["official", "corrected"]
MODES: tuple[Mode, ...] = ("official", "corrected")
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Rule:
    """Classes, counted from 0, that forgive a second neighbour; d is prediction - truth.

    Attributes:
        late: After a late transition they forgive d = -2 as well as d = -1.
        early: Before an early transition they forgive d = 2 as well as d = 1.
    """

    late: frozenset[int]
    early: frozenset[int]


def rule_for(classes: Sequence[str]) -> Rule | None:
    """The rule for a dataset by its phase names in order; None where the script knows none."""
    if tuple(classes) == CHOLEC80:
        return Rule(late=frozenset({5, 6}), early=frozenset({3, 4, 5, 6}))
    if tuple(classes) == M2CAI16:
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
        mode: Whether the mask of early transitions lies where the script or its text puts it.
    """
    difference = prediction - truth
    result = difference.copy()
    found = segments(truth)
    for label, start, end in zip(found.label, found.start, found.end, strict=True):
        t = min(tolerance, int(end - start))
        first, last = slice(start, start + t), slice(end - t, end)
        late = difference[first] == -1
        if label in rule.late:
            late |= difference[first] == -2
        early = difference[last] == 1
        if label in rule.early:
            early |= difference[last] == 2
        result[first][late] = 0
        result[first if mode == "official" else last][early] = 0
    return result


@dataclass(frozen=True)
class RelaxedScores:
    """One video: accuracy, and (C,) scores with NaN for classes absent from the truth."""

    accuracy: float
    jaccard: Floats
    precision: Floats
    recall: Floats


def relaxed_scores(
    truth: Labels, prediction: Labels, difference: Labels, num_classes: int
) -> RelaxedScores:
    """Scores of one video as the script computes them, before clipping at 1.

    They can exceed 1, since a forgiven frame counts for its true and its predicted class, and
    precision is infinite for a class that was never predicted.
    """
    columns = np.arange(num_classes)[:, None]
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


@dataclass(frozen=True)
class RelaxedStatistics:
    """What the relaxed metrics are made of.

    Attributes:
        seconds: Tolerance at a transition.
        videos: The V videos' scores, by mode.
    """

    seconds: float
    videos: Mapping[Mode, Sequence[RelaxedScores]]


def relaxed_statistics(
    pairs: Sequence[tuple[Labels, Labels]], classes: Sequence[str], label_fps: float, seconds: float
) -> RelaxedStatistics | None:
    """From truth and prediction of each video, labelled frames only; None without a rule.

    Args:
        pairs: Truth and prediction.
        classes: Names in class order, which decide the rule.
        label_fps: Frames per second of the sequences.
        seconds: Tolerance at a transition.
    """
    rule, tolerance = rule_for(classes), round(seconds * label_fps)
    if rule is None:
        return None
    videos = {
        mode: [
            relaxed_scores(g, p, relaxed_difference(g, p, rule, tolerance, mode), len(classes))
            for g, p in pairs
        ]
        for mode in MODES
    }
    return RelaxedStatistics(seconds, videos)


def relaxed_figures(statistics: RelaxedStatistics, draws: Floats) -> dict[str, Floats]:
    """Accuracy over videos, the others over the means per class, in every draw: (B,) per key.

    Keys are relaxed.MODE.accuracy.mean, and so on for jaccard, precision and recall.

    Args:
        statistics: Of V videos.
        draws: (B, V) how often each video counts in each draw.
    """
    figures = {}
    for mode, videos in statistics.videos.items():
        accuracy = np.array([video.accuracy for video in videos])
        figures[f"relaxed.{mode}.accuracy.mean"] = mean_over_videos(accuracy, draws)
        for name, values in per_class(videos, draws).items():
            figures[f"relaxed.{mode}.{name}.mean"] = nan_mean(values, 1)
    return figures


def relaxed_deviations(statistics: RelaxedStatistics) -> dict[str, float]:
    """Standard deviations (ddof = 1): accuracy over videos, the others over the class means."""
    deviations = {}
    for mode, videos in statistics.videos.items():
        accuracy = np.array([video.accuracy for video in videos])
        deviations[f"relaxed.{mode}.accuracy.std"] = nan_std(accuracy)
        for name, values in per_class(videos, every_video_once(len(videos))).items():
            deviations[f"relaxed.{mode}.{name}.std"] = nan_std(values[0])
    return deviations


def per_class(videos: Sequence[RelaxedScores], draws: Floats) -> dict[str, Floats]:
    """Jaccard, precision and recall per class: means over videos of the clipped scores, (B, C).

    Scores are clipped at 1 first, then averaged over videos, ignoring NaN.
    """
    return {
        name: mean_over_videos(np.minimum([getattr(video, name) for video in videos], 1), draws)
        for name in ("jaccard", "precision", "recall")
    }
