"""The rows of a features file, from those that the network gave."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import PipelineError


def with_lost(features: NDArray[np.float32], lost: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Features of all samples; those of a lost one repeat the row before, at the start the next.

    Args:
        features: (K, D) of the samples that have their frame, at least one.
        lost: (T,) whether a sample lacks its frame, K times False.

    Returns:
        (T, D) float32.
    """
    rows: NDArray[np.intp] = np.maximum(np.cumsum(~lost) - 1, 0)
    return np.asarray(features[rows])


def stored_as(features: NDArray[np.float32], dtype: str) -> NDArray[Any]:
    """The features in the type of the file.

    Raises:
        PipelineError: They are not finite in it.
    """
    with np.errstate(over="ignore"):
        stored = features.astype(dtype)
    if not np.isfinite(stored).all():
        largest = float(np.abs(features).max())
        raise PipelineError(
            f"features up to {largest:.3g} do not fit features.dtype: {dtype}. Set "
            "features.dtype: float32; if they are not finite there either, check the weights."
        )
    return stored


def cosine(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float64]:
    """Cosine similarity, (T,), of rows (T, D) with rows (T, D); 0 beside a row of zeros."""
    a, b = one.astype(np.float64), other.astype(np.float64)
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    similar = np.zeros(len(a))
    np.divide((a * b).sum(axis=1), lengths, out=similar, where=lengths > 0)
    return similar
