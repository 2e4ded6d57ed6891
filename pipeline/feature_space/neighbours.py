"""Nearest neighbours by cosine, in blocks of matrix products, and their vote on a class."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

Floats = NDArray[np.float32]

K = 20
TEMPERATURE = 0.07
"""Of the vote. Both are those of Caron et al., "Emerging Properties in Self-Supervised Vision
Transformers" (DINO), 2021, after Wu et al., "Unsupervised Feature Learning via Non-Parametric
Instance Discrimination", 2018."""

_BLOCK = 1024


@dataclass(frozen=True)
class Neighbours:
    """The nearest keys of each query, the nearest first.

    Attributes:
        index: (Q, k) int64 rows of the keys.
        cosine: (Q, k) float32.
    """

    index: NDArray[np.int64]
    cosine: Floats


def unit_length(features: Floats) -> torch.Tensor:
    """Rows (N, D) scaled to length 1, float32; a row of zeros stays as it is."""
    return torch.nn.functional.normalize(torch.from_numpy(features).float(), dim=1)


def cosines(queries: torch.Tensor, keys: torch.Tensor) -> Iterator[tuple[slice, torch.Tensor]]:
    """Blocks of queries with their cosines to all keys, so that memory stays bounded.

    Args:
        queries: (Q, D), rows of length 1.
        keys: (N, D), rows of length 1.

    Yields:
        Rows of the queries and their cosines (B, N).
    """
    for start in range(0, len(queries), _BLOCK):
        rows = slice(start, min(start + _BLOCK, len(queries)))
        yield rows, queries[rows] @ keys.T


def nearest(queries: Floats, keys: Floats, k: int = K) -> Neighbours:
    """The k keys of the largest cosine for each query; all of them where there are fewer.

    Args:
        queries: (Q, D).
        keys: (N, D), at least one.
        k: Neighbours.
    """
    scaled, k = unit_length(keys), min(k, len(keys))
    found = [block.topk(k, dim=1) for _, block in cosines(unit_length(queries), scaled)]
    return Neighbours(
        np.concatenate([top.indices.numpy() for top in found] or [np.zeros((0, k), np.int64)]),
        np.concatenate([top.values.numpy() for top in found] or [np.zeros((0, k), np.float32)]),
    )


def vote(found: Neighbours, labels: NDArray[np.int64], num_classes: int) -> NDArray[np.int64]:
    """The class of each query, (Q,): every neighbour votes with exp(cosine / TEMPERATURE).

    Args:
        found: Neighbours among the keys.
        labels: (N,) classes of the keys.
        num_classes: C.
    """
    weights = np.exp(found.cosine.astype(np.float64) / TEMPERATURE)
    votes = np.zeros((len(weights), num_classes))
    np.add.at(votes, (np.arange(len(weights))[:, None], labels[found.index]), weights)
    classes: NDArray[np.int64] = votes.argmax(axis=1).astype(np.int64)
    return classes
