"""How far a video's features lie from those that a temporal model was trained on.

The distance of a video is that of its mean feature from the mean over all training frames, where
each dimension counts in units of its standard deviation over these frames: the root of the mean
square over dimensions. Training videos have such distances too, each from the mean of the others.
Their root mean square is the unit: a video at 1 differs as much from the training videos as these
do from one another.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

FAR = 3.0
"""Beyond this a prediction comes with a warning. Chosen, not fitted: the demo's test videos lie
below 1."""

_DIGITS = 6  # of the numbers in a header


def features_seen(videos: Iterable[NDArray[np.floating]]) -> dict[str, Any]:
    """What a model's header says of the features that it was trained on.

    Args:
        videos: (T, D) of each training video.

    Returns:
        `videos`, their number; `mean` and `std`, D numbers each, over all frames; `spread`, the
        unit of distances, null where it is not defined: there is one video, or all are alike.
    """
    counts, means, squares = [], [], []
    for video in videos:
        rows = np.asarray(video, dtype=np.float64)
        counts.append(len(rows))
        means.append(rows.mean(axis=0))
        squares.append((rows**2).mean(axis=0))
    weights = np.array(counts) / sum(counts)
    mean = weights @ np.array(means)
    std = np.sqrt(np.maximum(weights @ np.array(squares) - mean**2, 0.0))
    # From the mean of the others: the mean of all lies nearer to a video, by its share of it.
    shares = [
        _distance(m, mean, std) / (1 - w) for m, w in zip(means, weights, strict=True) if w < 1
    ]
    spread = float(np.sqrt(np.mean(np.square(shares)))) if shares else 0.0
    return {
        "videos": len(counts),
        "mean": _rounded(mean),
        "std": _rounded(std),
        "spread": float(f"{spread:.{_DIGITS}g}") or None,
    }


def distance(features: NDArray[np.floating], seen: Mapping[str, Any]) -> float | None:
    """The distance of a video in units of that between training videos.

    Args:
        features: (T, D).
        seen: From features_seen.

    Returns:
        None where the unit is not defined.
    """
    if seen["spread"] is None:
        return None
    mean = np.asarray(features, dtype=np.float64).mean(axis=0)
    return _distance(mean, np.array(seen["mean"]), np.array(seen["std"])) / float(seen["spread"])


def _distance(
    mean: NDArray[np.float64], centre: NDArray[np.float64], std: NDArray[np.float64]
) -> float:
    # A feature that never changed in training tells by what it does now, at its own scale.
    scale = np.where(std > 1e-6, std, 1.0)
    return float(np.sqrt(np.mean(((mean - centre) / scale) ** 2)))


def _rounded(values: NDArray[np.float64]) -> list[float]:
    return [float(f"{value:.{_DIGITS}g}") for value in values]
