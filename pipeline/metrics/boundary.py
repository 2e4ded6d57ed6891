"""How far predicted transitions are from the true ones, in seconds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.segments import Labels, segments

Floats = NDArray[np.float64]
WITHIN_S = (5, 10, 30)
"""Seconds within which a transition counts as found."""


@dataclass(frozen=True)
class Transitions:
    """The changes of phase in a video; the start of its first phase is none.

    Attributes:
        into: (N,) the class that begins.
        at: (N,) its first frame.
    """

    into: Labels
    at: Labels


def transitions(labels: Labels) -> Transitions:
    """Where a phase begins that differs from the one before.

    Unlabelled frames (-1) are passed over: if the phase after a gap differs from the one before it,
    the transition is where labels begin again; if it is the same one, there is none.
    """
    known = np.flatnonzero(labels >= 0)
    runs = segments(labels[known])
    first = known[runs.start] if len(runs) else known
    return Transitions(runs.label[1:], first[1:])


def boundary_errors(truth: Labels, prediction: Labels, label_fps: float) -> Floats:
    """Per true transition, seconds to the nearest predicted transition into the same phase.

    Args:
        truth: (T,) classes, -1 where unlabelled.
        prediction: (T,) classes of all frames, so that a transition predicted in unlabelled time
            counts where it is.
        label_fps: Frames per second of both.

    Returns:
        (N,) in order of time; infinite where no transition into that phase is predicted. A
        predicted transition may serve several true ones.
    """
    true, predicted = transitions(truth), transitions(prediction)
    apart = np.abs(true.at[:, None] - predicted.at) / label_fps  # (N, M)
    apart = np.where(true.into[:, None] == predicted.into, apart, np.inf)
    nearest: Floats = apart.min(axis=1, initial=np.inf)
    return nearest


def boundary_figures(videos: Sequence[Floats], draws: Floats) -> dict[str, Floats]:
    """Median error and shares of transitions found, over those of all videos, in every draw.

    Args:
        videos: The errors of each of V videos.
        draws: (B, V) how often each video counts in each draw.

    Returns:
        (B,) per key: boundary.median_s, infinite where more than half are never predicted;
        .within_5_s, .within_10_s, .within_30_s; .missed, the share with no prediction at all. NaN
        in draws without a transition.
    """
    errors = np.concatenate([*videos, np.empty(0)])
    video = np.repeat(np.arange(len(videos)), [len(v) for v in videos])
    order = np.argsort(errors, kind="stable")
    errors, repeated = errors[order], draws[:, video[order]]  # (N,), (B, N)
    total = repeated.sum(axis=1)

    def share(of: NDArray[np.bool_]) -> Floats:
        with np.errstate(invalid="ignore"):
            result: Floats = (repeated @ of.astype(np.float64)) / total
        return result

    figures = {"boundary.median_s": _median(errors, repeated)}
    for seconds in WITHIN_S:
        figures[f"boundary.within_{seconds}_s"] = share(errors <= seconds)
    figures["boundary.missed"] = share(np.isinf(errors))
    return figures


@dataclass(frozen=True)
class EnteredPhase:
    """The transitions into one phase.

    Attributes:
        name: Of the phase.
        count: True transitions.
        figures: Median error and shares as in boundary_figures, by the last part of their keys;
            None where undefined.
    """

    name: str
    count: int
    figures: dict[str, float | None]


def boundaries_by_phase(
    videos: Sequence[tuple[Labels, Labels]], classes: Sequence[str], label_fps: float
) -> list[EnteredPhase]:
    """The transitions into each phase that is entered, in class order.

    Args:
        videos: Truth and prediction of each, as in boundary_errors.
        classes: Names.
        label_fps: Frames per second.
    """
    into = np.concatenate([transitions(truth).into for truth, _ in videos])
    errors = np.concatenate([boundary_errors(g, p, label_fps) for g, p in videos])
    rows = []
    for entered in np.unique(into):
        found = boundary_figures([errors[into == entered]], np.ones((1, 1)))
        figures = {
            key.removeprefix("boundary."): float(v[0]) if np.isfinite(v[0]) else None
            for key, v in found.items()
        }
        rows.append(EnteredPhase(classes[entered], int((into == entered).sum()), figures))
    return rows


def _median(ordered: Floats, repeated: Floats) -> Floats:
    """Median of ascending values (N,), each repeated as often as `repeated` (B, N) says: (B,)."""
    if len(ordered) == 0:
        return np.full(len(repeated), np.nan)
    below = np.cumsum(repeated, axis=1)
    total = below[:, -1:]
    # The middle value, or the two of them, counted from 1.
    first = np.argmax(below >= np.floor((total + 1) / 2), axis=1)
    second = np.argmax(below >= np.floor(total / 2) + 1, axis=1)
    middle = ordered[first] / 2 + ordered[second] / 2
    return np.where(total[:, 0] > 0, middle, np.nan)
