"""What labels say about phases: which one begins, which one follows, and how long each lasts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.segments import Labels, segments

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Prior:
    """A semi-Markov chain of C phases.

    A run of phase c has least[c] frames, and after each frame from then on it ends with probability
    leave[c]: P(duration = d) = leave (1 - leave)^(d - least) for d >= least. The video may end at
    any time, so its last run is scored by P(duration >= d).

    Attributes:
        start: (C,) probability of the first phase.
        transitions: (C, C) probability of the next phase (columns) once a phase has ended; 0 on the
            diagonal.
        leave: (C,) above 0 and below 1.
        least: (C,) frames, from 1.
    """

    start: Floats
    transitions: Floats
    leave: Floats
    least: NDArray[np.int64]

    @cached_property
    def log_start(self) -> Floats:
        """(C,)."""
        return np.log(self.start)

    @cached_property
    def log_change(self) -> Floats:
        """(C, C) log of leave times transitions, -inf where a phase cannot follow."""
        with np.errstate(divide="ignore"):
            log: Floats = np.log(self.leave[:, None] * self.transitions)
        return log

    @cached_property
    def log_stay(self) -> Floats:
        """(C,)."""
        return np.log1p(-self.leave)

    def record(self) -> dict[str, Any]:
        """What a model's header keeps."""
        return {name: getattr(self, name).tolist() for name in self.__dataclass_fields__}


def prior_of(record: Mapping[str, Any]) -> Prior:
    """The prior that a model's header holds."""
    return Prior(
        np.array(record["start"], dtype=np.float64),
        np.array(record["transitions"], dtype=np.float64),
        np.array(record["leave"], dtype=np.float64),
        np.array(record["least"], dtype=np.int64),
    )


def learn_prior(training: Sequence[Labels], num_classes: int, least_frames: int) -> Prior:
    """The prior of the training videos' labels.

    Every probability is a share of counts, each raised by one (Laplace), so that what training has
    never shown stays possible: first phases of the videos, pairs of successive runs, and for
    `leave` the runs that ended against the frames on which a run of at least `least` went on. A
    video's last run has not ended.

    Args:
        training: (T,) classes of each video, -1 where unlabelled. Such frames are left out: a run
            goes on behind them.
        num_classes: C.
        least_frames: The wanted shortest run. No phase's `least` is above the shortest run that it
            has in training.
    """
    videos = [segments(labels[labels >= 0]) for labels in training if (labels >= 0).any()]
    start = np.ones(num_classes)
    transitions = 1 - np.eye(num_classes)
    least = np.full(num_classes, least_frames, dtype=np.int64)
    for runs in videos:
        start[runs.label[0]] += 1
        np.add.at(transitions, (runs.label[:-1], runs.label[1:]), 1)
        np.minimum.at(least, runs.label, runs.end - runs.start)
    ended, went_on = np.ones(num_classes), np.ones(num_classes)
    for runs in videos:
        np.add.at(ended, runs.label[:-1], 1)
        np.add.at(went_on, runs.label, runs.end - runs.start - least[runs.label])
    return Prior(
        start=start / start.sum(),
        # A single class has no other one to change to.
        transitions=transitions / np.maximum(transitions.sum(axis=1, keepdims=True), 1),
        leave=ended / (ended + went_on),
        least=least,
    )
