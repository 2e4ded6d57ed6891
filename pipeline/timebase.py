"""The two clocks: source time in seconds and `sample` on the extracted timeline."""

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray


def exact_fps(value: int | float | str) -> Fraction:
    """A rate as the fraction that was meant: 0.5, 25, "30000/1001"; 29.97 is 2997/100.

    Raises:
        ValueError: Not a positive number or fraction.
    """
    try:
        rate = Fraction(str(value))
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"{value!r} is no rate; write 1, 0.5 or 30000/1001") from None
    if rate <= 0:
        raise ValueError(f"{value!r} is no rate; it must be above 0")
    return rate


def sample_count(last_s: Fraction, fps: Fraction) -> int:
    """Number of samples k = 0, 1, ... with k / fps not after the last frame at `last_s`."""
    return int(last_s * fps) + 1


def labels_at(
    time_s: NDArray[np.float64],
    start_s: NDArray[np.float64],
    end_s: NDArray[np.float64],
    classes: NDArray[np.int64],
) -> NDArray[np.int64]:
    """The class of each frame: that of the run [start_s, end_s) which contains its time.

    Args:
        time_s: (T,) seconds.
        start_s: (R,) starts of the runs in seconds, ascending.
        end_s: (R,) ends of the runs, exclusive, not after the next start.
        classes: (R,) class of each run.

    Returns:
        (T,) class per frame, -1 in the gaps between runs.
    """
    if len(start_s) == 0:
        return np.full(len(time_s), -1, dtype=np.int64)
    # Half a microsecond: labels.csv holds six digits, frame times hold all of them.
    run = np.searchsorted(start_s, time_s + 5e-7, side="right") - 1
    inside = (run >= 0) & (time_s + 5e-7 < end_s[np.maximum(run, 0)])
    return np.where(inside, classes[np.maximum(run, 0)], -1).astype(np.int64)
