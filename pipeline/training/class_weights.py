"""Weights per class for unbalanced labels."""

import numpy as np
from numpy.typing import NDArray

# The beta of Cui et al. for data of this size; their paper tries 0.9 to 0.9999.
_BETA = 0.9999


def class_weights(kind: str, labels: NDArray[np.int64], num_classes: int) -> NDArray[np.float64]:
    """A weight per class from the training labels; classes that never occur get 0.

    Args:
        kind: "none": 1. "inverse": n / (C n_c). "median": median(f) / f_c over the classes that
            occur (Eigen and Fergus 2015, used by TeCNO). "effective": (1 - b) / (1 - b^n_c) with
            b = 0.9999, scaled to mean 1 (Cui et al., "Class-Balanced Loss", CVPR 2019).
        labels: (N,) classes of all training frames, -1 for unlabelled ones.
        num_classes: C.

    Returns:
        (C,) float64.
    """
    counts = np.bincount(labels[labels >= 0], minlength=num_classes).astype(np.float64)
    occurs = counts > 0
    found = counts[occurs]
    match kind:
        case "none":
            some = np.ones_like(found)
        case "inverse":
            some = found.sum() / (len(found) * found)
        case "median":
            some = np.median(found) / found
        case "effective":
            some = (1 - _BETA) / (1 - _BETA**found)
            some = some / some.mean()
        case _:
            raise ValueError(f"unknown class weights: {kind!r}")
    weights = np.zeros(num_classes)
    weights[occurs] = some
    return weights
