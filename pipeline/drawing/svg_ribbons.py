"""A video's phases over time as the page draws and reads them out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.drawing.colours import UNLABELLED, class_colours, text_colour
from pipeline.scored_video import ScoredVideo
from pipeline.segments import Labels, segments

CONFIDENCE_BINS = 400
"""As many columns as a screen shows; more would only make the page larger."""
NUMBERED = 0.035
"""A run is wide enough for its phase's number from this share of the video on."""


@dataclass(frozen=True)
class Number:
    """The number of a phase inside its run.

    Attributes:
        at: Percent of the width.
        phase: Counted from 1, as the legend does.
        colour: Black or white, whichever stands out on the phase's colour.
    """

    at: float
    phase: int
    colour: str


@dataclass(frozen=True)
class Row:
    """Runs of phases as SVG, one path per colour, on a width of T.

    Attributes:
        paths: Colour and path data.
        numbers: Of the runs that are wide enough for one.
    """

    paths: Sequence[tuple[str, str]]
    numbers: Sequence[Number]


@dataclass(frozen=True)
class Ribbon:
    """One video on the page.

    Attributes:
        video: Identifier.
        accuracy: Of its labelled frames; None where there is none.
        num_frames: T.
        rows: Named "truth" and "prediction".
        confidence: Path data on a width of T and a height of 1, or None.
        ticks: Percent of the width and text in minutes.
        readout: What the page's script needs to say what is under the pointer.
    """

    video: str
    accuracy: float | None
    num_frames: int
    rows: dict[str, Row]
    confidence: str | None
    ticks: Sequence[tuple[float, str]]
    readout: dict[str, Any]


def ribbon_of(name: str, video: ScoredVideo, fps: float, num_classes: int) -> Ribbon:
    """Draw one video."""
    known = video.labelled
    right = video.truth[known] == video.prediction[known]
    bins = None if video.probabilities is None else _binned(video.probabilities.max(axis=1))
    return Ribbon(
        video=name,
        accuracy=float(right.mean()) if known.any() else None,
        num_frames=len(video.truth),
        rows={
            "truth": _row(video.truth, num_classes),
            "prediction": _row(video.prediction, num_classes),
        },
        confidence=None if bins is None else _area(bins, len(video.truth)),
        ticks=_ticks(len(video.truth) / fps),
        readout={
            "frames": len(video.truth),
            "truth": _runs(video.truth),
            "prediction": _runs(video.prediction),
            "confidence": [] if bins is None else bins,
        },
    )


def attention_ribbon(
    name: str, phases: Labels, weights: NDArray[np.floating], fps: float, num_phases: int
) -> Ribbon:
    """Draw how much each frame of a video counts, below its phases where they are labelled.

    Args:
        name: Of the video.
        phases: (T,) classes, -1 where unlabelled.
        weights: (T,) sum 1; the highest part of the video reaches the top.
        fps: Frames per second.
        num_phases: Of all videos, for the colours.
    """
    edges = _edges(len(weights))
    means = np.add.reduceat(weights, edges[:-1]) / np.diff(edges)
    return Ribbon(
        video=name,
        accuracy=None,
        num_frames=len(weights),
        rows={"phases": _row(phases, num_phases)} if (phases >= 0).any() else {},
        confidence=_area([round(100 * float(mean)) for mean in means / means.max()], len(weights)),
        ticks=_ticks(len(weights) / fps),
        readout={},
    )


def worst_first(ribbons: Sequence[Ribbon]) -> list[Ribbon]:
    """By accuracy, lowest on top; videos without a label at the end."""
    return sorted(
        ribbons, key=lambda r: (r.accuracy is None, r.accuracy if r.accuracy else 0.0, r.video)
    )


def _row(labels: Labels, num_classes: int) -> Row:
    runs = segments(labels)
    colours = [*class_colours(num_classes), UNLABELLED]  # the last one is for -1, unlabelled
    paths: dict[str, str] = {}
    numbers = []
    for label, start, end in zip(runs.label, runs.start, runs.end, strict=True):
        colour = colours[label]
        paths[colour] = paths.get(colour, "") + f"M{start} 0h{end - start}v1h-{end - start}z"
        if label >= 0 and end - start >= NUMBERED * len(labels):
            middle = round(50 * float(start + end) / len(labels), 2)
            numbers.append(Number(middle, int(label) + 1, text_colour(colour)))
    return Row(list(paths.items()), numbers)


def _runs(labels: Labels) -> list[list[int]]:
    runs = segments(labels)
    return [runs.start.tolist(), runs.label.tolist()]


def _edges(num_frames: int) -> Labels:
    """First frames of the bins, and T: frame t is in bin floor(t * bins / T), as in page.js."""
    bins = min(CONFIDENCE_BINS, num_frames)
    return -(-np.arange(bins + 1, dtype=np.int64) * num_frames // bins)


def _binned(confidence: NDArray[np.floating]) -> list[int]:
    """Mean confidence in percent in each of up to CONFIDENCE_BINS equal parts of the video."""
    edges = _edges(len(confidence))
    means = np.add.reduceat(confidence, edges[:-1]) / np.diff(edges)
    return [round(100 * float(mean)) for mean in means]


def _area(bins: list[int], num_frames: int) -> str:
    steps = "".join(
        f"V{1 - value / 100:.2f}h{width}"
        for value, width in zip(bins, np.diff(_edges(num_frames)), strict=True)
    )
    return f"M0 1{steps}V1z"


def _ticks(seconds: float) -> list[tuple[float, str]]:
    """Four to eight marks at round times."""
    steps = (10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)
    step = next((s for s in steps if seconds / s <= 8), 7200)
    marks = np.arange(0, seconds, step)
    return [(round(100 * float(t) / seconds, 2), clock(float(t))) for t in marks]


def clock(seconds: float) -> str:
    """A time as people read it off a player: 4:07, or 1:04:07 beyond an hour."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"
