"""The linear probe: multinomial logistic regression on the features of single frames."""

import warnings
from typing import Any

import numpy as np
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from pipeline.feature_space.pool import Pool

GRID = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Values of C, the inverse strength of the L2 penalty, on features of unit variance."""

FOLDS = 3
_ITERATIONS = 200


def fitted_probe(training: Pool) -> tuple[Any, float]:
    """A classifier of single frames, and its C.

    Features are standardised by the mean and deviation of the training frames. C is the value of
    GRID with the best accuracy, mean over videos, in a cross-validation over the training videos:
    no video is on both sides of a fold. L-BFGS ends after 200 iterations at most, which the weak
    penalties can reach.

    Args:
        training: Labelled frames.

    Returns:
        An estimator of scikit-learn whose `predict` takes features (N, D), and C; with fewer than
        two training videos C is the middle of GRID.
    """
    # Products with C narrow columns wait for memory, not for cores; and one thread gives the same
    # bits on any number of them.
    with threadpool_limits(1, user_api="blas"):
        c = _best_c(training)
        return _fitted(training, c), c


def _best_c(training: Pool) -> float:
    folds = min(FOLDS, len(np.unique(training.video)))
    if folds < 2:
        return GRID[len(GRID) // 2]
    right = np.zeros((len(GRID), len(training)))
    for rows, held_out in GroupKFold(folds).split(training.features, groups=training.video):
        inside, outside = training.rows(rows), training.rows(held_out)
        for number, c in enumerate(GRID):
            predicted = _fitted(inside, c).predict(outside.features)
            right[number, held_out] = predicted == outside.labels
    by_video = [right[:, training.video == v].mean(axis=1) for v in np.unique(training.video)]
    # The strongest penalty of equal ones.
    return GRID[int(np.mean(by_video, axis=0).argmax())]


def _fitted(training: Pool, c: float) -> Any:
    if len(np.unique(training.labels)) < 2:
        return DummyClassifier().fit(training.features, training.labels)
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=_ITERATIONS))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return probe.fit(training.features, training.labels)
