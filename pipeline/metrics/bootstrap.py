"""Uncertainty of a mean over videos: resample videos, not frames.

Frames of one operation resemble each other, so a bootstrap over frames gives intervals far too
narrow (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, section 8.5: resample the
independent units). A draw is kept as how often each video is in it. Every metric is written as a
function of such weights, so that the figure itself (each video once) and its draws come from one
formula and 2,000 draws are a matrix product.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SEED = 0
"""Fixed, so that a report never changes and two experiments are resampled alike (paired)."""


def draw_videos(videos: int, draws: int) -> Floats:
    """How often each video is in each draw: (draws, videos), rows sum to `videos`."""
    chances = np.full(videos, 1 / videos)
    return np.random.default_rng(SEED).multinomial(videos, chances, size=draws).astype(np.float64)


def every_video_once(videos: int) -> Floats:
    """The weights of the figure itself: (1, videos) ones."""
    return np.ones((1, videos))


def weighted_mean(values: Floats, weights: Floats) -> Floats:
    """Mean over videos in each draw, without NaN; NaN where nothing is left.

    Args:
        values: (V, ...) one figure, or an array of figures, per video.
        weights: (B, V).

    Returns:
        (B, ...).
    """
    defined = ~np.isnan(values)
    total = np.tensordot(weights, np.where(defined, values, 0.0), axes=1)
    number = np.tensordot(weights, defined.astype(np.float64), axes=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean: Floats = total / number
    return mean


def interval(draws: Floats) -> tuple[float, float]:
    """The 95 % percentile interval of a figure's draws (B,); NaN where it has none.

    There is none for a single draw, nor where the figure is undefined in most draws.
    """
    defined = draws[np.isfinite(draws)]
    if len(defined) < 2 or len(defined) < len(draws) / 2:
        return float("nan"), float("nan")
    low, high = np.percentile(defined, [2.5, 97.5])
    return float(low), float(high)
