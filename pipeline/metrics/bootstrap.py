"""Uncertainty of a mean over videos: resample videos, not frames.

Frames of one operation resemble each other, so a bootstrap over frames gives intervals far too
narrow (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, section 8.5: resample the
independent units). A draw says how often each video counts. Every metric is written as a function
of draws, so that its value (each video once) and its bootstrap come from one formula, and 2,000
draws are one matrix product.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SEED = 0
"""Fixed, so that a report never changes and two experiments are resampled alike (paired)."""


def draw_videos(num_videos: int, num_draws: int) -> Floats:
    """How often each video counts in each draw: (B, V), rows sum to `num_videos`."""
    chances = np.full(num_videos, 1 / num_videos)
    drawn = np.random.default_rng(SEED).multinomial(num_videos, chances, size=num_draws)
    return drawn.astype(np.float64)


def every_video_once(num_videos: int) -> Floats:
    """The single draw that gives a metric its value: (1, V) ones."""
    return np.ones((1, num_videos))


def mean_over_videos(values: Floats, draws: Floats) -> Floats:
    """Mean over videos in each draw, without NaN; NaN where nothing is left.

    Args:
        values: (V, ...) one number, or an array of numbers, per video.
        draws: (B, V) how often each video counts in each draw.

    Returns:
        (B, ...).
    """
    defined = ~np.isnan(values)
    total = np.tensordot(draws, np.where(defined, values, 0.0), axes=1)
    number = np.tensordot(draws, defined.astype(np.float64), axes=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean: Floats = total / number
    return mean


def interval(values: Floats) -> tuple[float, float]:
    """The 95 % percentile interval of a metric from its values in all draws, (B,).

    NaN where there is none: for a single draw, or where most draws leave the metric undefined.
    """
    defined = values[np.isfinite(values)]
    if len(defined) < 2 or len(defined) < len(values) / 2:
        return float("nan"), float("nan")
    low, high = np.percentile(defined, [2.5, 97.5])
    return float(low), float(high)
