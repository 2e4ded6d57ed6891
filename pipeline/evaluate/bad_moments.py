"""The nearest training frames of the moments that were predicted worst."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline import paths
from pipeline.evaluate.error_analysis import WrongRun
from pipeline.evaluate.thumbnails import Thumbnail, thumbnails
from pipeline.feature_space.neighbours import cosines, unit_length
from pipeline.feature_space.separation import NEAR_S
from pipeline.feature_store import read_attributes
from pipeline.sequences import Sequence as VideoSequence

NEIGHBOURS = 5


@dataclass(frozen=True)
class Moment:
    """One frame.

    Attributes:
        video: Identifier.
        time_s: Seconds.
        label: Its true class.
        cosine: To the frame whose neighbour it is.
        pictures: The frame; none where it is not there.
    """

    video: str
    time_s: float
    label: int
    cosine: float
    pictures: Sequence[Thumbnail]


@dataclass(frozen=True)
class BadMoment:
    """The middle of a wrong run, and what lies next to it.

    Attributes:
        run: The run.
        frame: Its middle frame.
        neighbours: The nearest labelled training frames, the nearest first.
    """

    run: WrongRun
    frame: Moment
    neighbours: Sequence[Moment]


def bad_moments(
    training: Sequence[VideoSequence], test: Sequence[VideoSequence], runs: Sequence[WrongRun]
) -> list[BadMoment]:
    """The middle frames of wrong runs with their nearest training frames, by cosine.

    Every labelled frame of the training videos is compared. Of those that lie within NEAR_S of
    each other in one video, the nearest stands for all.

    Args:
        training: Training videos, at least one.
        test: Test videos.
        runs: Wrong runs of test videos.
    """
    if not runs:
        return []
    by_name = {sequence.video: sequence for sequence in test}
    asked = [(by_name[run.video], (run.start + run.end - 1) // 2) for run in runs]
    queries = np.stack([sequence.features[middle] for sequence, middle in asked])
    similar = np.concatenate([_to_labelled(queries, video) for video in training], axis=1)
    lengths = [len(video) for video in training]
    video = np.repeat(np.arange(len(training)), lengths)
    sample = np.concatenate([np.arange(length) for length in lengths])
    time_s = np.concatenate([video.time_s for video in training])
    return [
        BadMoment(
            run,
            _moment(*frame, 1.0),
            [
                _moment(training[video[row]], int(sample[row]), float(cosine[row]))
                for row in distinct(cosine, video, time_s)
            ],
        )
        for run, frame, cosine in zip(runs, asked, similar, strict=True)
    ]


def distinct(
    cosine: NDArray[np.float32], video: NDArray[np.int64], time_s: NDArray[np.float64]
) -> list[int]:
    """Rows of the nearest frames, of which no two are one moment of one video.

    Args:
        cosine: (N,) -inf for frames that are left out.
        video: (N,) number of each frame's video.
        time_s: (N,) seconds.
    """
    rows: list[int] = []
    for row in np.argsort(-cosine, kind="stable"):
        if len(rows) == NEIGHBOURS or cosine[row] == -np.inf:
            break
        same_video = video[rows] == video[row]
        if not (same_video & (np.abs(time_s[rows] - time_s[row]) <= NEAR_S)).any():
            rows.append(int(row))
    return rows


def _to_labelled(queries: NDArray[np.floating], video: VideoSequence) -> NDArray[np.float32]:
    """Cosines (Q, T) to the frames of a video, -inf where they have no label."""
    blocks = cosines(
        unit_length(queries.astype(np.float32)), unit_length(video.features.astype(np.float32))
    )
    found = np.concatenate([block.numpy() for _, block in blocks])
    found[:, video.labels < 0] = -np.inf
    return found


def _moment(sequence: VideoSequence, sample: int, cosine: float) -> Moment:
    label = int(sequence.labels[sample])
    attributes = read_attributes(paths.FEATURES / f"{sequence.video}.h5")
    # As a run of this one frame: what the page shows of frames is decided in one place.
    frame = WrongRun(sequence.video, sample, sample + 1, label, label)
    time_s = float(sequence.time_s[sample])
    return Moment(sequence.video, time_s, label, cosine, thumbnails(frame, attributes))
