"""The median of each class's probability over a window of time.

Phases have no order, so a median of their numbers means nothing. Here each class has its median by
itself, and the class with the highest one is predicted. Logarithms are filtered, which gives the
medians of the probabilities, since the number of frames is odd, and keeps the smallest ones apart.

The offline variant centres the window on the frame; the online variant ends it there. Beyond an end
of the video its first or last frame is repeated.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def window_frames(seconds: float, fps: float) -> int:
    """The odd number of frames nearest to a duration, the larger one of two; 1 changes nothing."""
    return 2 * int(seconds * fps / 2) + 1


def smoothed(log_probabilities: Floats, frames: int, online: bool) -> Floats:
    """The medians (T, C); the cost grows with T, and by the window's logarithm.

    Args:
        log_probabilities: (T, C).
        frames: Of the window, odd.
        online: The window ends at the frame, which does not see what follows.
    """
    from scipy.ndimage import median_filter  # takes a fifth of a second to load

    origin = frames // 2 if online else 0
    columns = [
        median_filter(column, size=frames, mode="nearest", origin=origin)
        for column in np.ascontiguousarray(log_probabilities.T)
    ]
    return np.stack(columns, axis=1)


def step(log_probabilities: Floats, state: Floats | None, frames: int) -> tuple[Floats, Floats]:
    """The online medians (C,) of one more frame, and the state for the next one.

    Args:
        log_probabilities: (C,) of the frame.
        state: (frames, C) the window before; None at a video's start.
        frames: Of the window, odd.
    """
    if state is None:
        state = np.tile(log_probabilities, (frames, 1))
    window = np.concatenate([state[1:], log_probabilities[None]])
    medians: Floats = np.median(window, axis=0)
    return medians, window
