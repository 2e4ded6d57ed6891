"""Temperature scaling: one number that makes confidence fit the share predicted rightly."""

import math

import numpy as np
from numpy.typing import NDArray

from pipeline.segments import Labels

LOWEST, HIGHEST = 0.05, 20.0
"""Of a temperature. Without bounds it would fall to 0 where every validation frame is right."""


def fit_temperature(logits: NDArray[np.float64], truth: Labels) -> float:
    """The temperature T with the lowest negative log-likelihood of softmax(logits / T).

    Guo et al., "On Calibration of Modern Neural Networks", ICML 2017. The likelihood is convex in
    1 / T, so Brent's method on log T finds its only minimum. A T above 1 makes the network less
    confident; the likeliest class stays the same.

    Args:
        logits: (N, C) of all labelled validation frames.
        truth: (N,) their classes.
    """
    from scipy.optimize import minimize_scalar  # takes a fifth of a second to load

    bounds = (math.log(LOWEST), math.log(HIGHEST))
    found = minimize_scalar(
        lambda log_t: negative_log_likelihood(logits / math.exp(log_t), truth),
        bounds=bounds,
        method="bounded",
        options={"xatol": 1e-7},
    )
    return math.exp(float(found.x))


def negative_log_likelihood(logits: NDArray[np.float64], truth: Labels) -> float:
    """Mean of -log softmax(logits) at the true class, in nats.

    Args:
        logits: (N, C).
        truth: (N,) classes.
    """
    shifted = logits - logits.max(axis=1, keepdims=True)
    total = np.log(np.exp(shifted).sum(axis=1))
    return float(np.mean(total - shifted[np.arange(len(truth)), truth]))
