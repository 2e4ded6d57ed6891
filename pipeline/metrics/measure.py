"""From scored videos to every metric: a few statistics per video, and metrics as functions of them.

A metric is a function of how often each video counts: once each for its value, as often as drawn
for its bootstrap interval, and alike in two experiments for their difference.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.metrics.boundary import boundary_errors, boundary_figures, transitions
from pipeline.metrics.calibration import Reliability, calibration_error, reliability, stack
from pipeline.metrics.frame import confusion, frame_deviations, frame_figures
from pipeline.metrics.phase import PhaseStatistics, phase_counts, phase_figures
from pipeline.metrics.ranking import PooledFrames, ranking_figures
from pipeline.metrics.relaxed import relaxed_deviations, relaxed_figures, relaxed_statistics
from pipeline.metrics.segment import segment_deviations, segment_figures, segment_statistics
from pipeline.scored_video import ScoredVideo
from pipeline.segments import Labels

BACKGROUND = "background"
"""The class whose runs the published evaluation of action segmentation leaves out (GTEA has it;
the first and last action of 50Salads and the silence of Breakfast count there)."""

Floats = NDArray[np.float64]
Value = TypeVar("Value")


@dataclass(frozen=True)
class ScoredSet:
    """V videos that are scored together, each with a label at least.

    Attributes:
        videos: By name.
        classes: C names in class order.
        label_fps: Frames per second of the sequences.
        relaxed_seconds: Tolerance of the relaxed metrics.
    """

    videos: Mapping[str, ScoredVideo]
    classes: tuple[str, ...]
    label_fps: float
    relaxed_seconds: float

    @cached_property
    def pairs(self) -> list[tuple[Labels, Labels]]:
        """Truth and prediction of each video's labelled frames."""
        return [(v.truth[v.labelled], v.prediction[v.labelled]) for v in self.videos.values()]

    @cached_property
    def matrices(self) -> NDArray[np.int64]:
        """(V, C, C) frames by true and predicted class."""
        count = len(self.classes)
        matrices = [confusion(truth, prediction, count) for truth, prediction in self.pairs]
        return np.array(matrices, dtype=np.int64).reshape(-1, count, count)

    @property
    def background(self) -> int | None:
        """The class that takes no part in segmental metrics, where one bears that name."""
        return self.classes.index(BACKGROUND) if BACKGROUND in self.classes else None

    @property
    def has_probabilities(self) -> bool:
        """Whether all videos have them."""
        return all(video.probabilities is not None for video in self.videos.values())


@dataclass(frozen=True)
class Family:
    """A group of metrics that are made of the same statistics.

    Attributes:
        statistics: What is computed once per video; None where the family does not apply.
        figures: Metrics with an interval, from the statistics and draws (B, V): (B,) per key.
        deviations: Standard deviations over videos or classes, by key.
        constants: Metrics without an interval and numbers that say what was scored, by key.
    """

    statistics: Callable[[ScoredSet], Any]
    figures: Callable[[Any, Floats], dict[str, Floats]] = field(default=lambda _, draws: {})
    deviations: Callable[[Any], dict[str, float]] = field(default=lambda _: {})
    constants: Callable[[Any], dict[str, float]] = field(default=lambda _: {})


def _bins(scored: ScoredSet) -> Reliability | None:
    if not scored.has_probabilities:
        return None
    return stack(
        [
            reliability(v.truth[v.labelled], v.known_probabilities[v.labelled])
            for v in scored.videos.values()
        ]
    )


def _pooled(scored: ScoredSet) -> PooledFrames | None:
    if not scored.has_probabilities:
        return None
    videos = scored.videos.values()
    return PooledFrames(
        scored.classes,
        np.concatenate([v.truth[v.labelled] for v in videos]),
        np.concatenate([v.known_probabilities[v.labelled] for v in videos]),
    )


def _transition_count(scored: ScoredSet) -> dict[str, float]:
    videos = scored.videos.values()
    return {"boundary.transitions": sum(len(transitions(video.truth).at) for video in videos)}


FAMILIES = (
    Family(lambda s: s.matrices, frame_figures, frame_deviations),
    Family(lambda s: PhaseStatistics(s.classes, s.matrices), phase_figures, constants=phase_counts),
    Family(
        lambda s: segment_statistics(s.pairs, s.background), segment_figures, segment_deviations
    ),
    Family(
        lambda s: [boundary_errors(v.truth, v.prediction, s.label_fps) for v in s.videos.values()],
        boundary_figures,
    ),
    Family(lambda s: s, constants=_transition_count),
    Family(
        lambda s: relaxed_statistics(s.pairs, s.classes, s.label_fps, s.relaxed_seconds),
        relaxed_figures,
        relaxed_deviations,
        lambda found: {"relaxed.seconds": float(found.seconds)},
    ),
    Family(_bins, lambda bins, draws: {"calibration.ece": calibration_error(bins, draws)}),
    Family(_pooled, constants=ranking_figures),
)
"""A new family of metrics is one file, one entry here, and its rows in table.py."""


@dataclass(frozen=True)
class Measured:
    """The statistics of V videos.

    Attributes:
        scored: The videos that have a label; those without take part in nothing.
        found: Families that apply, with their statistics.
    """

    scored: ScoredSet
    found: Sequence[tuple[Family, Any]]

    def figures(self, draws: Floats) -> dict[str, Floats]:
        """Every metric that has an interval, by its dotted key: (B,) each.

        Args:
            draws: (B, V) how often each video counts in each draw.
        """
        return _merged(family.figures(statistics, draws) for family, statistics in self.found)

    def deviations(self) -> dict[str, float]:
        """Every standard deviation, by its dotted key."""
        return _merged(family.deviations(statistics) for family, statistics in self.found)

    def constants(self) -> dict[str, float]:
        """Metrics without an interval and numbers that say what was scored, by dotted key."""
        return _merged(family.constants(statistics) for family, statistics in self.found)


def measure(
    videos: Mapping[str, ScoredVideo],
    classes: Sequence[str],
    label_fps: float,
    relaxed_seconds: float,
) -> Measured:
    """Statistics of the videos that have a label.

    Args:
        videos: By name.
        classes: Names in class order.
        label_fps: Frames per second of the sequences.
        relaxed_seconds: Tolerance of the relaxed metrics.
    """
    known = {name: video for name, video in videos.items() if video.labelled.any()}
    scored = ScoredSet(known, tuple(classes), label_fps, relaxed_seconds)
    if not known:
        return Measured(scored, [])
    statistics = [(family, family.statistics(scored)) for family in FAMILIES]
    return Measured(scored, [(family, made) for family, made in statistics if made is not None])


def _merged(parts: Iterable[Mapping[str, Value]]) -> dict[str, Value]:
    return {key: value for part in parts for key, value in part.items()}
