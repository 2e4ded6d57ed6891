"""No run shorter than a given duration. Offline: a run's end decides what it was."""

import numpy as np
from numpy.typing import NDArray

from pipeline.segments import Labels, segments


def without_short_runs(
    prediction: Labels, log_probabilities: NDArray[np.float64], least_frames: int
) -> Labels:
    """The prediction (T,) whose runs have `least_frames` or more, unless one phase is left.

    Again and again the shortest run, the first of equals, is given to the neighbour whose phase has
    the higher mean log-probability over its frames. The cost is the length times the number of
    short runs.

    Args:
        prediction: (T,) classes.
        log_probabilities: (T, C).
        least_frames: Of a run.
    """
    labels = prediction.copy()
    while len(runs := segments(labels)) > 1:
        lengths = runs.end - runs.start
        short = int(lengths.argmin())
        if lengths[short] >= least_frames:
            break
        frames = slice(int(runs.start[short]), int(runs.end[short]))
        score = log_probabilities[frames].mean(axis=0)
        beside = np.r_[runs.label[max(short - 1, 0) : short], runs.label[short + 1 : short + 2]]
        labels[frames] = beside[score[beside].argmax()]
    return labels
