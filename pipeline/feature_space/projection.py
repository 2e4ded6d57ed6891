"""Features on a map of two dimensions."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.errors import PipelineError

Floats = NDArray[np.float32]
Kind = Literal["pca", "umap"]

SEED = 0
"""Fixed, so that a report never changes."""


@dataclass(frozen=True)
class FeatureMap:
    """Where frames lie.

    Attributes:
        training: (N, 2) of the frames that the map was fitted to.
        others: (M, 2) of frames that it never saw.
        axes: What the two axes are.
    """

    training: Floats
    others: Floats
    axes: tuple[str, str]


def feature_map(kind: Kind, training: Floats, others: Floats) -> FeatureMap:
    """A map, fitted to training frames, with other frames put into it.

    Args:
        kind: `pca`: the two directions of the largest variance, to which distances on the map are
            true. `umap`: McInnes, Healy, Melville, "UMAP: Uniform Manifold Approximation and
            Projection", 2018, with cosines; it keeps neighbours together, distances between
            clusters mean little.
        training: (N, D) float32, N and D at least 2.
        others: (M, D) float32.

    Raises:
        PipelineError: UMAP is not installed.
    """
    return _pca(training, others) if kind == "pca" else _umap(training, others)


def _pca(training: Floats, others: Floats) -> FeatureMap:
    centre = training.mean(axis=0)
    centred = torch.from_numpy(training - centre)
    # Halko, Martinsson, Tropp, "Finding Structure with Randomness", 2011, algorithm 4.4: a basis of
    # a few more directions, with enough iterations that the first two have settled.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        size = min(8, *centred.shape)
        _, singular, basis = torch.pca_lowrank(centred, size, center=False, niter=30)
    either_sign = basis[:, :2]
    # Each one's largest loading is positive.
    largest = either_sign.gather(0, either_sign.abs().argmax(dim=0, keepdim=True))
    directions = (either_sign * largest.sign()).numpy()
    shares = singular[:2].square() / centred.square().sum()
    first, second = (
        f"{number} component, {100 * share:.0f} % of the variance"
        for number, share in zip(("1st", "2nd"), shares.tolist(), strict=True)
    )
    placed, others_placed = centred.numpy() @ directions, (others - centre) @ directions
    return FeatureMap(placed, others_placed, (first, second))


def _umap(training: Floats, others: Floats) -> FeatureMap:
    try:
        from umap import UMAP
    except ImportError:
        raise PipelineError(
            "params.yaml: evaluate.map: found umap, which is not installed. Run "
            "`pip install 'surgical-phase-pipeline[umap]'`, or set it to pca."
        ) from None
    # One thread: with more, UMAP's result does not repeat.
    umap = UMAP(metric="cosine", random_state=SEED, n_jobs=1)
    placed = umap.fit_transform(training)
    return FeatureMap(placed, umap.transform(others), ("UMAP 1", "UMAP 2"))
