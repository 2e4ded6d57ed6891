"""In which order a network with context sees the frames of several videos, and how they are cut."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.backbone.labelled_frames import LabelledFrames

NONE = -1
"""Stands in a table of rows for what lies behind the end of a video."""

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Window:
    """Consecutive frames of several videos, which one forward pass sees.

    Attributes:
        rows: (B, L) of the frames, NONE behind the end of a video.
        begins: Whether nothing is known of the frames before.
    """

    rows: Rows
    begins: bool

    @property
    def mask(self) -> NDArray[np.bool_]:
        """(B, L), true for frames."""
        return np.not_equal(self.rows, NONE)

    @property
    def frames(self) -> Rows:
        """(N,) rows of the frames, video after video."""
        return self.rows[self.mask]


def tracks(frames: LabelledFrames, every: int, offsets: Sequence[int]) -> list[Rows]:
    """The frames of each video that are seen one after the other.

    Args:
        frames: Of several videos, each in order of time.
        every: Samples from one frame to the next.
        offsets: For each video its first sample, below `every`; where a frame is lost, the next
            one follows directly.
    """
    found = []
    for video, offset in zip(range(len(frames.containers)), offsets, strict=True):
        rows = np.flatnonzero((frames.video == video) & (frames.sample % every == offset))
        if len(rows):
            found.append(rows.astype(np.int64))
    return found


def training_windows(
    frames: LabelledFrames, every: int, length: int, together: int, carry: bool, seed: int
) -> list[Window]:
    """The windows of an epoch, in an order drawn from the seed.

    Args:
        frames: Of the training videos.
        every: Samples from one frame to the next; the first one of a video is drawn.
        length: Frames of a window at most.
        together: Windows side by side.
        carry: Whether a video is walked through from its start to its end, with other videos
            beside it; otherwise each window stands for itself.
        seed: The same seed, the same windows.
    """
    draw = np.random.default_rng(seed)
    found = tracks(frames, every, draw.integers(every, size=len(frames.containers)).tolist())
    if not carry:
        found = [part for rows in found for part in _cut(rows, length)]
    order = draw.permutation(len(found))
    chosen = [found[number] for number in order]
    return list(windows(chosen, length, together))


def windows(found: Sequence[Rows], length: int, together: int) -> Iterator[Window]:
    """So many tracks side by side, window after window; then the next ones.

    The windows of a track differ in length by one frame at most, so that a last one of a single
    frame, on which batch norm cannot work, does not occur.
    """
    for first in range(0, len(found), together):
        beside = found[first : first + together]
        table = np.full((len(beside), max(map(len, beside))), NONE, np.int64)
        for row, track in enumerate(beside):
            table[row, : len(track)] = track
        begins = True
        for columns in _cut(np.arange(table.shape[1]), length):
            yield Window(table[:, columns], begins)
            begins = False


def _cut(rows: Rows, length: int) -> list[Rows]:
    return np.array_split(rows, -(-len(rows) // length))
