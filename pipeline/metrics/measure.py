"""What every figure of a split is made of: a few statistics per video, computed once.

A figure is then a function of how often each video counts: once each for its value, as often as
drawn for its bootstrap interval, and alike in two experiments for their difference.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.metrics.boundary import boundary_errors, boundary_figures
from pipeline.metrics.calibration import Reliability, calibration_error, reliability, stack
from pipeline.metrics.frame import (
    confusion,
    frame_figures,
    frame_spreads,
    phase_figures,
)
from pipeline.metrics.relaxed import (
    Mode,
    RelaxedScores,
    relaxed_difference,
    relaxed_figures,
    relaxed_scores,
    relaxed_spreads,
    rule_for,
)
from pipeline.metrics.segment import (
    SegmentStatistics,
    segment_figures,
    segment_spreads,
    segment_statistics,
)
from pipeline.segments import Labels

Floats = NDArray[np.float64]
Value = TypeVar("Value", float, Floats)
MODES: tuple[Mode, ...] = ("official", "corrected")


@dataclass(frozen=True)
class ScoredVideo:
    """One video's truth and prediction.

    Attributes:
        truth: (T,) classes, -1 where unlabelled.
        prediction: (T,) classes.
        probabilities: (T, C), rows sum to 1; None where another program gave labels only.
    """

    truth: Labels
    prediction: Labels
    probabilities: NDArray[np.float32] | NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        lengths = {len(self.truth), len(self.prediction)}
        if self.probabilities is not None:
            lengths.add(len(self.probabilities))
        if len(lengths) > 1:
            raise ValueError(f"truth, prediction and probabilities have lengths {sorted(lengths)}")

    @property
    def labelled(self) -> NDArray[np.bool_]:
        """(T,) which frames take part in metrics."""
        return self.truth >= 0

    @property
    def known_probabilities(self) -> NDArray[np.float32] | NDArray[np.float64]:
        """(T, C); a ValueError where there are none."""
        if self.probabilities is None:
            raise ValueError("only labels were predicted, no probabilities")
        return self.probabilities


@dataclass(frozen=True)
class Measured:
    """The statistics of V videos with labels.

    Attributes:
        videos: Their names.
        phases: C names in class order.
        matrices: (V, C, C) frames by true and predicted phase.
        segment: Runs.
        boundary: Errors of each video's transitions in seconds.
        relaxed: By mode, where the phase order has that rule.
        bins: (V, 15) reliability, where there are probabilities.
    """

    videos: tuple[str, ...]
    phases: tuple[str, ...]
    matrices: NDArray[np.int64]
    segment: SegmentStatistics
    boundary: tuple[Floats, ...]
    relaxed: dict[Mode, list[RelaxedScores]]
    bins: Reliability | None


def measure(
    videos: Mapping[str, ScoredVideo],
    phases: Sequence[str],
    label_fps: float,
    relaxed_seconds: float,
) -> Measured:
    """Statistics of the videos that have a label; those without take part in nothing.

    Args:
        videos: By name.
        phases: Names in class order.
        label_fps: Frames per second of the sequences.
        relaxed_seconds: Tolerance of the relaxed metrics.
    """
    known = {name: video for name, video in videos.items() if video.labelled.any()}
    pairs = [(v.truth[v.labelled], v.prediction[v.labelled]) for v in known.values()]
    rule, tolerance = rule_for(phases), round(relaxed_seconds * label_fps)
    relaxed: dict[Mode, list[RelaxedScores]] = {}
    if rule is not None:
        for mode in MODES:
            relaxed[mode] = [
                relaxed_scores(g, p, relaxed_difference(g, p, rule, tolerance, mode), len(phases))
                for g, p in pairs
            ]
    bins = [
        reliability(v.truth[v.labelled], v.probabilities[v.labelled])
        for v in known.values()
        if v.probabilities is not None
    ]
    matrices = [confusion(g, p, len(phases)) for g, p in pairs]
    return Measured(
        videos=tuple(known),
        phases=tuple(phases),
        matrices=np.array(matrices, dtype=np.int64).reshape(-1, len(phases), len(phases)),
        segment=segment_statistics(pairs),
        boundary=tuple(boundary_errors(v.truth, v.prediction, label_fps) for v in known.values()),
        relaxed=relaxed,
        bins=stack(bins) if bins and len(bins) == len(known) else None,
    )


def figures(measured: Measured, weights: Floats) -> dict[str, Floats]:
    """Every figure that has an interval, by its dotted key in metrics.json: (B,) each.

    Args:
        measured: Statistics of V videos.
        weights: (B, V) how often each video counts in each draw.
    """
    found = _prefixed("frame", frame_figures(measured.matrices, weights))
    found |= _prefixed("segment", segment_figures(measured.segment, weights))
    found |= _prefixed("boundary", boundary_figures(measured.boundary, weights))
    for mode, videos in measured.relaxed.items():
        found |= _prefixed(f"relaxed.{mode}", relaxed_figures(videos, weights))
    if measured.bins is not None:
        found["calibration.ece"] = calibration_error(measured.bins, weights)
    for name, values in phase_figures(measured.matrices, weights).items():
        found |= {f"phase.{phase}.{name}": values[:, i] for i, phase in enumerate(measured.phases)}
    return found


def spreads(measured: Measured) -> dict[str, float]:
    """Every standard deviation, by its dotted key in metrics.json."""
    found = _prefixed("frame", frame_spreads(measured.matrices))
    found |= _prefixed("segment", segment_spreads(measured.segment))
    for mode, videos in measured.relaxed.items():
        found |= _prefixed(f"relaxed.{mode}", relaxed_spreads(videos))
    return found


def interval_keys(key: str) -> tuple[str, str]:
    """Where a figure's interval stands: beside `x.mean` x.ci_low, beside `x.y_mean` x.y_ci_low.

    A figure of another name keeps it: `x.pooled` has x.pooled_ci_low.
    """
    group, _, name = key.rpartition(".")
    stem = name.removesuffix("mean")
    if stem == name:
        stem = f"{name}_"
    return f"{group}.{stem}ci_low", f"{group}.{stem}ci_high"


def _prefixed(prefix: str, found: dict[str, Value]) -> dict[str, Value]:
    return {f"{prefix}.{key}": value for key, value in found.items()}
