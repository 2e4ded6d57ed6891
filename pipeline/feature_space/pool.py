"""Labelled frames of several videos in one table of rows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.sequences import Sequence as VideoSequence


@dataclass(frozen=True)
class Pool:
    """Labelled frames, video after video, each video's in order.

    Attributes:
        features: (N, D) float32.
        labels: (N,) int64 classes.
        videos: Identifiers of the videos that were pooled.
        video: (N,) int64, number of each frame's video among them.
        sample: (N,) int64, the frame on its video's timeline.
        time_s: (N,) float64 seconds.
    """

    features: NDArray[np.float32]
    labels: NDArray[np.int64]
    videos: tuple[str, ...]
    video: NDArray[np.int64]
    sample: NDArray[np.int64]
    time_s: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.labels)

    def rows(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> "Pool":
        """Some of the frames."""
        return Pool(
            self.features[chosen],
            self.labels[chosen],
            self.videos,
            self.video[chosen],
            self.sample[chosen],
            self.time_s[chosen],
        )

    def followed_by(self, other: "Pool") -> "Pool":
        """Both tables, the other one's videos numbered after these."""
        return Pool(
            np.concatenate([self.features, other.features]),
            np.concatenate([self.labels, other.labels]),
            self.videos + other.videos,
            np.concatenate([self.video, other.video + len(self.videos)]),
            np.concatenate([self.sample, other.sample]),
            np.concatenate([self.time_s, other.time_s]),
        )


def pooled(sequences: Sequence[VideoSequence], most: int | None = None) -> Pool:
    """The labelled frames of videos.

    Args:
        sequences: The videos, at least one.
        most: Frames at most, the same number of each video and evenly spaced in it; a video that
            has fewer gives all of them. None takes every labelled frame.
    """
    share = None if most is None else max(1, most // len(sequences))
    chosen = [_evenly_spaced(np.flatnonzero(s.labels >= 0), share) for s in sequences]
    pairs = list(zip(sequences, chosen, strict=True))
    return Pool(
        np.concatenate([s.features[rows].astype(np.float32) for s, rows in pairs]),
        np.concatenate([s.labels[rows] for s, rows in pairs]),
        tuple(s.video for s in sequences),
        np.repeat(np.arange(len(pairs)), [len(rows) for rows in chosen]),
        np.concatenate(chosen),
        np.concatenate([s.time_s[rows] for s, rows in pairs]),
    )


def _evenly_spaced(rows: NDArray[np.int64], most: int | None) -> NDArray[np.int64]:
    if most is None or len(rows) <= most:
        return rows
    return rows[np.linspace(0, len(rows) - 1, most).round().astype(np.int64)]
