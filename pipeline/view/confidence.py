"""How sure a prediction is, sample by sample."""

import numpy as np
from numpy.typing import NDArray

from pipeline.scored_video import Probabilities
from pipeline.segments import Labels


def confidence(prediction: Labels, probabilities: Probabilities) -> NDArray[np.floating]:
    """The probability of the predicted class, (T,); the largest one where none was predicted.

    Args:
        prediction: (T,) classes, -1 where the model left a sample unlabelled.
        probabilities: (T, C).
    """
    chosen = probabilities[np.arange(len(prediction)), prediction]
    return np.where(prediction >= 0, chosen, probabilities.max(axis=1))
