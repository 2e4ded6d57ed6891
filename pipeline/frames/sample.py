"""Which frames of a video are taken, those shown at k / fps, and at what time each sample lies."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from pipeline.timebase import sample_count

# Times of samples lie at least this far apart: tables hold six digits after the point.
_APART_S = 2e-6


@dataclass(frozen=True)
class Timeline:
    """When each frame of a video is shown, as its container says.

    Attributes:
        ticks: (N,) int64, ascending, in units of `time_base`; the first frame is time zero.
        time_base: Seconds per tick.
    """

    ticks: NDArray[np.int64]
    time_base: Fraction

    def __post_init__(self) -> None:
        if len(self.ticks) == 0 or self.ticks[0] != 0 or (np.diff(self.ticks) < 0).any():
            raise ValueError("ticks must ascend from zero")

    def seconds(self, frame: int) -> float:
        """When frame number `frame`, in the order of presentation, is shown."""
        return float(int(self.ticks[frame]) * self.time_base)


def sampled_frames(timeline: Timeline, fps: Fraction) -> NDArray[np.int64]:
    """The frame shown at each k / fps, up to the time of the last frame.

    That is the last frame whose time is not after k / fps. Computed in whole ticks: at
    30000/1001 frames per second, floating point picks the neighbour now and then.

    Returns:
        (K,) numbers of frames in the order of presentation, not descending. A frame shown for
        longer than 1 / fps is taken once for each k.
    """
    last_s = int(timeline.ticks[-1]) * timeline.time_base
    count = sample_count(last_s, fps)
    per_sample = 1 / (fps * timeline.time_base)
    wanted = np.array(
        [k * per_sample.numerator // per_sample.denominator for k in range(count)], dtype=np.int64
    )
    return np.searchsorted(timeline.ticks, wanted, side="right").astype(np.int64) - 1


def sample_times(
    timeline: Timeline, frames: NDArray[np.int64], fps: Fraction
) -> NDArray[np.float64]:
    """The time of each sample: that of its frame, and k / fps where it repeats the one before.

    So a time is true wherever a frame is new, lies within the time for which its frame is shown,
    and times strictly increase. With frames at 0 s and 0.7 s, and two samples per second:

        k / fps   0    0.5  1    1.5
        frame     0    0    1    1
        time_s    0    0.5  0.7  1.5

    Args:
        timeline: The video's.
        frames: (K,) from sampled_frames.
        fps: As there.

    Returns:
        (K,) seconds.
    """
    times = np.empty(len(frames))
    before = -np.inf
    for sample, frame in enumerate(frames.tolist()):
        shown = timeline.seconds(frame)
        before = shown if shown >= before + _APART_S else float(sample / fps)
        times[sample] = before
    return times
