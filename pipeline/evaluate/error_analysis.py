"""Where the errors are: which phases are confused, how near to transitions, in which runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.metrics.boundary import transitions
from pipeline.scored_video import ScoredVideo
from pipeline.segments import segments


@dataclass(frozen=True)
class ConfusedPair:
    """Frames of one true phase that another one was predicted for.

    Attributes:
        truth: Class.
        prediction: Class.
        count: Frames.
        of_errors: Their share of all errors.
        of_phase: Their share of the true phase.
    """

    truth: int
    prediction: int
    count: int
    of_errors: float
    of_phase: float


def confused_pairs(matrix: NDArray[np.int64], most: int) -> list[ConfusedPair]:
    """The pairs of phases with the most confused frames, the most first.

    Args:
        matrix: (C, C) frames by true phase (rows) and predicted phase (columns).
        most: Pairs at most.
    """
    errors = matrix - np.diag(np.diag(matrix))
    total, rows = errors.sum(), matrix.sum(axis=1)
    order = np.argsort(-errors, axis=None, kind="stable")[:most]
    return [
        ConfusedPair(
            int(g), int(p), int(errors[g, p]), float(errors[g, p] / total), float(n / rows[g])
        )
        for g, p in zip(*np.unravel_index(order, errors.shape), strict=True)
        if (n := errors[g, p])
    ]


@dataclass(frozen=True)
class NearTransitions:
    """How many errors lie around true transitions.

    Attributes:
        of_errors: Share of wrong frames within the given seconds of one; NaN without errors.
        of_frames: The same share of all labelled frames, which chance alone would give.
    """

    of_errors: float
    of_frames: float


def near_transitions(
    videos: Sequence[ScoredVideo], label_fps: float, seconds: float
) -> NearTransitions:
    """Shares of errors and of frames that lie within so many seconds of a true transition."""
    near_errors = errors = near_count = count = 0
    for video in videos:
        positions = np.arange(len(video.truth))
        # A transition lies between its first frame and the one before.
        at = transitions(video.truth).at - 0.5
        distance = np.abs(positions[:, None] - at).min(axis=1, initial=np.inf) / label_fps
        near = distance <= seconds
        wrong = video.labelled & (video.truth != video.prediction)
        near_errors += int((near & wrong).sum())
        errors += int(wrong.sum())
        near_count += int((near & video.labelled).sum())
        count += int(video.labelled.sum())
    return NearTransitions(
        near_errors / errors if errors else float("nan"),
        near_count / count if count else float("nan"),
    )


@dataclass(frozen=True)
class WrongRun:
    """Frames in a row with one true and one other predicted phase.

    Attributes:
        video: Identifier.
        start: First frame.
        end: Frame after the last.
        truth: Class.
        prediction: Class.
    """

    video: str
    start: int
    end: int
    truth: int
    prediction: int

    def __len__(self) -> int:
        return self.end - self.start

    @property
    def middle(self) -> int:
        """The frame in the middle, the earlier one of two."""
        return (self.start + self.end - 1) // 2


def worst_runs(videos: Mapping[str, ScoredVideo], most: int) -> list[WrongRun]:
    """The longest wrong runs of all videos, the longest first."""
    found = []
    for name, video in videos.items():
        num_classes = int(video.prediction.max(initial=0)) + 1
        wrong = video.labelled & (video.truth != video.prediction)
        # One number per (truth, prediction), -1 where right or unlabelled.
        pair = np.where(wrong, video.truth * num_classes + video.prediction, -1)
        runs = segments(pair).without(-1)
        for label, start, end in zip(runs.label, runs.start, runs.end, strict=True):
            truth, prediction = divmod(int(label), num_classes)
            found.append(WrongRun(name, int(start), int(end), truth, prediction))
    return sorted(found, key=lambda run: (-len(run), run.video, run.start))[:most]
