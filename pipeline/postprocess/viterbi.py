"""The likeliest sequence of phases under a prior over their order and durations. Offline.

A hidden semi-Markov model: Rabiner, "A Tutorial on Hidden Markov Models and Selected Applications
in Speech Recognition", Proc. IEEE 1989, sections III.B and IV.D; Murphy, "Hidden semi-Markov
models", 2002. Durations are geometric from a shortest run on (prior.py), in place of a table of all
durations: then the cost is linear in the length, T C^2.

The network's probabilities stand for the likelihoods of the frames. They are not divided by the
shares of the phases, as hybrid models for speech do: class weights in training
(train.class_weights, on by default) have about the same effect.
"""

import numpy as np
from numpy.typing import NDArray

from pipeline.postprocess.prior import Prior
from pipeline.segments import Labels


def decode(log_probabilities: NDArray[np.float64], prior: Prior) -> Labels:
    """The phases (T,) with the highest joint probability of runs and frames.

    Args:
        log_probabilities: (T, C).
        prior: Of C phases.
    """
    length, count = log_probabilities.shape
    every = np.arange(count)
    least, log_change, log_stay = prior.least, prior.log_change, prior.log_stay
    so_far = np.zeros((length + 1, count))  # log-probability of each phase's first t frames
    np.cumsum(log_probabilities, axis=0, out=so_far[1:])

    # begins[t]: best score of frames 0 to t - 1, where a run begins at t. before[t]: the phase of
    # t - 1 in it. may_end[t]: best score of frames 0 to t - 1, whose last run may end. since[t]:
    # where that run began.
    begins = np.full((length, count), -np.inf)
    before = np.zeros((length, count), dtype=np.int64)
    may_end = np.full((length + 1, count), -np.inf)
    since = np.zeros((length + 1, count), dtype=np.int64)
    for t in range(length + 1):
        if t > 0:
            went_on = may_end[t - 1] + log_stay + log_probabilities[t - 1]
            first = np.maximum(t - least, 0)
            reached = begins[first, every] + so_far[t] - so_far[first, every]
            reached[t < least] = -np.inf
            may_end[t] = np.maximum(went_on, reached)
            since[t] = np.where(reached >= went_on, first, since[t - 1])
        if t < length:
            scores = may_end[t][:, None] + log_change
            before[t] = scores.argmax(axis=0)
            begins[t] = prior.log_start if t == 0 else scores[before[t], every]

    phase, start = _last_run(begins, may_end, since, so_far, least)
    labels = np.empty(length, dtype=np.int64)
    end = length
    while True:
        labels[start:end] = phase
        if start == 0:
            return labels
        phase, end = int(before[start, phase]), start
        start = int(since[end, phase])


def _last_run(
    begins: NDArray[np.float64],
    may_end: NDArray[np.float64],
    since: NDArray[np.int64],
    so_far: NDArray[np.float64],
    least: NDArray[np.int64],
) -> tuple[int, int]:
    """Phase and first frame of the last run, which the video's end may have cut short."""
    length = len(begins)
    phase = int(may_end[length].argmax())
    best, start = may_end[length, phase], int(since[length, phase])
    for other in range(len(least)):
        first = max(length - int(least[other]) + 1, 0)
        scores = begins[first:, other] + so_far[length, other] - so_far[first:length, other]
        if len(scores) and scores.max() > best:
            best, phase, start = scores.max(), other, first + int(scores.argmax())
    return phase, start
