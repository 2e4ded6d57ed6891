"""Truth and prediction of a video: what metrics score and pictures show."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.segments import Labels

Probabilities = NDArray[np.float32] | NDArray[np.float64]


@dataclass(frozen=True)
class ScoredVideo:
    """One video's truth and prediction.

    Attributes:
        truth: (T,) classes, -1 where unlabelled.
        prediction: (T,) classes.
        probabilities: (T, C), rows sum to 1; None where another program gave labels only.
    """

    truth: Labels
    prediction: Labels
    probabilities: Probabilities | None = None

    def __post_init__(self) -> None:
        lengths = {len(self.truth), len(self.prediction)}
        if self.probabilities is not None:
            lengths.add(len(self.probabilities))
        if len(lengths) > 1:
            raise ValueError(f"truth, prediction and probabilities have lengths {sorted(lengths)}")

    @property
    def labelled(self) -> NDArray[np.bool_]:
        """(T,) which frames take part in metrics."""
        return self.truth >= 0

    @property
    def known_probabilities(self) -> Probabilities:
        """(T, C).

        Raises:
            ValueError: Only labels were predicted.
        """
        if self.probabilities is None:
            raise ValueError("only labels were predicted, no probabilities")
        return self.probabilities


def pooled(videos: Mapping[str, ScoredVideo]) -> tuple[Labels, Labels, Probabilities]:
    """Truth, prediction and probabilities of the labelled frames of all videos."""
    return (
        np.concatenate([v.truth[v.labelled] for v in videos.values()]),
        np.concatenate([v.prediction[v.labelled] for v in videos.values()]),
        np.concatenate([v.known_probabilities[v.labelled] for v in videos.values()]),
    )
