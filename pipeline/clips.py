"""Which frames make a clip: so many, evenly spaced in time, that end at a sample or surround it.

Clips overlap, so their frames are stored once, at the one rate at which every sample and every
frame of its clip is among them:

    frames.fps 1, clip of 4 frames, 0.5 s apart, past:    stored at 2 fps

    stored   0   1   2   3   4   5   6
    samples  0       1       2       3
    clip 2       1   2   3   4
"""

from dataclasses import dataclass
from fractions import Fraction
from math import gcd, lcm
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Position = Literal["past", "centred"]

FASTEST = 120
"""Frames per second that are stored at most; a stride that needs more is a slip of the pen."""


@dataclass(frozen=True)
class Clips:
    """The clips of a video whose frames are stored at a rate that holds them all.

    Attributes:
        frames: L, of each clip.
        every: Stored frames from one sample to the next.
        step: Stored frames from one frame of a clip to the next.
        position: `past`: the last frame of a clip is that of its sample, so that nothing depends
            on the future. `centred`: frame number L // 2 is, counted from 0.
    """

    frames: int
    every: int
    step: int
    position: Position

    def samples(self, stored: int) -> NDArray[np.int64]:
        """The stored frames (T,) at which samples lie, of so many."""
        return np.arange(0, stored, self.every, dtype=np.int64)

    def rows(self, kept: NDArray[np.bool_]) -> NDArray[np.int64]:
        """The stored frames of each clip, the oldest first.

        Beyond an end of the video its first or last frame is repeated. A lost frame gives way to
        the nearest kept one before it in the video, or else after it.

        Args:
            kept: (F,) bool, stored frames that were not lost; at least one.

        Returns:
            (T, L) numbers of stored frames, one row per sample.
        """
        ahead = self.frames // 2 if self.position == "centred" else self.frames - 1
        offsets = self.step * (np.arange(self.frames) - ahead)
        wanted = self.samples(len(kept))[:, None] + offsets[None, :]
        rows: NDArray[np.int64] = _nearest_kept(kept)[np.clip(wanted, 0, len(kept) - 1)]
        return rows


def clips_of(
    fps: Fraction, frames: int, stride_s: Fraction, position: Position
) -> tuple[Fraction, Clips]:
    """The rate at which frames must be stored, and the clips among them.

    Args:
        fps: Samples per second.
        frames: L, of each clip.
        stride_s: Seconds between two frames of a clip.
        position: See Clips.

    Raises:
        ValueError: No rate up to FASTEST holds both; offers strides that one does.
    """
    per_second = 1 / stride_s
    # The smallest rate of which both are whole fractions.
    rate = Fraction(
        lcm(fps.numerator, per_second.numerator), gcd(fps.denominator, per_second.denominator)
    )
    if rate > FASTEST:
        offered = ", ".join(str(Fraction(1, n) / fps) for n in (1, 2, 3, 5, 10, 15, 25))
        raise ValueError(
            f"frames every {stride_s} s and {fps} samples per second meet only at {rate} frames "
            f"per second; at most {FASTEST} are stored. Take a whole fraction or a multiple of the "
            f"time between samples, such as {offered}"
        )
    return rate, Clips(frames, int(rate / fps), int(rate * stride_s), position)


def _nearest_kept(kept: NDArray[np.bool_]) -> NDArray[np.int64]:
    """For each stored frame itself, or the last kept one before it, or the first kept one."""
    number = np.where(kept, np.arange(len(kept)), -1)
    before = np.maximum.accumulate(number)
    first = int(np.argmax(kept))
    return np.where(before < 0, first, before).astype(np.int64)
