"""The probability of each phase given the frames so far, under the model of viterbi.py. Online.

The forward algorithm (Rabiner 1989, section III.A) on the semi-Markov chain written as a Markov
chain: a phase has a state for each frame of its shortest run, passed one after the other, and stays
in the last one until it ends.
"""

import numpy as np
from numpy.typing import NDArray

from pipeline.postprocess.prior import Prior

Floats = NDArray[np.float64]


def filtered(log_probabilities: Floats, prior: Prior) -> Floats:
    """The posterior (T, C) of each frame given that frame and those before it.

    Args:
        log_probabilities: (T, C).
        prior: Of C phases.
    """
    posterior = np.empty(log_probabilities.shape)
    state: Floats | None = None
    for t, row in enumerate(log_probabilities):
        posterior[t], state = step(row, state, prior)
    return posterior


def step(log_probabilities: Floats, state: Floats | None, prior: Prior) -> tuple[Floats, Floats]:
    """The posterior (C,) of one more frame, and the state for the next one.

    The cost is the number of states, which the video's length does not change.

    Args:
        log_probabilities: (C,) of the frame.
        state: (C, K) log-probability of each phase and of the frames, 0 to K - 1, that its run must
            still last; None at a video's start. K is the longest of the shortest runs.
        prior: Of C phases.
    """
    count = len(log_probabilities)
    entered = (np.arange(count), prior.least - 1)
    after = np.full((count, int(prior.least.max())), -np.inf)
    if state is None:
        after[entered] = prior.log_start
    else:
        may_end = state[:, 0]
        after[:, :-1] = state[:, 1:]
        after[:, 0] = np.logaddexp(after[:, 0], may_end + prior.log_stay)
        changed = np.logaddexp.reduce(may_end[:, None] + prior.log_change, axis=0)
        after[entered] = np.logaddexp(after[entered], changed)
    after += log_probabilities[:, None]
    highest = after.max()
    mass = np.exp(after - highest).sum(axis=1)
    total = mass.sum()
    return mass / total, after - (highest + np.log(total))
