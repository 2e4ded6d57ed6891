"""Metrics of one ordered class or one score per video: Spearman's rho, weighted kappa, errors."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.metrics.bootstrap import draw_videos, every_video_once, interval
from pipeline.metrics.keys import interval_keys, nested

Floats = NDArray[np.float64]


def spearman_in_draws(first: Floats, second: Floats, draws: Floats) -> Floats:
    """Spearman's rank correlation in every draw; videos with one value share their mean rank.

    Args:
        first: (V,) values.
        second: (V,) values.
        draws: (B, V) how often each video counts in each draw.

    Returns:
        (B,), NaN where all values are the same.
    """
    x, y = _ranks_in_draws(first, draws), _ranks_in_draws(second, draws)
    total = draws.sum(axis=1, keepdims=True)
    x = x - (draws * x).sum(axis=1, keepdims=True) / total
    y = y - (draws * y).sum(axis=1, keepdims=True) / total
    shared = (draws * x * y).sum(axis=1)
    spread = (draws * x**2).sum(axis=1) * (draws * y**2).sum(axis=1)
    return np.where(spread > 1e-9, shared / np.sqrt(np.maximum(spread, 1e-9)), np.nan)


def _ranks_in_draws(values: Floats, draws: Floats) -> Floats:
    """The rank of each video among those of each draw: (B, V), means where values are equal."""
    different, place = np.unique(values, return_inverse=True)
    of_value = draws @ (place[:, None] == np.arange(len(different)))  # (B, G) videos with it
    rank: Floats = np.cumsum(of_value, axis=1) - (of_value - 1) / 2
    return rank[:, place]


def quadratic_kappa(matrices: Floats) -> Floats:
    """Cohen's kappa with quadratic weights: an error counts by the square of its distance.

    Cohen, "Weighted kappa", Psychological Bulletin 1968.

    Args:
        matrices: (..., C, C) videos by true class (rows) and predicted class, in order.

    Returns:
        (...), 1 for perfect agreement, 0 for that of chance; NaN where truth and prediction are
        one class throughout.
    """
    classes = np.arange(matrices.shape[-1])
    distance = (classes[:, None] - classes) ** 2
    rows, columns = matrices.sum(axis=-1), matrices.sum(axis=-2)
    by_chance = (
        rows[..., :, None] * columns[..., None, :] / matrices.sum(axis=(-2, -1))[..., None, None]
    )
    found, expected = (
        (distance * matrices).sum(axis=(-2, -1)),
        (distance * by_chance).sum(axis=(-2, -1)),
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        kappa: Floats = 1 - found / expected
    return kappa


def summarise_scores(truth: Floats, prediction: Floats, num_draws: int) -> dict[str, Any]:
    """Every metric of a task with one score per video.

    Args:
        truth: (V,) scores.
        prediction: (V,) scores.
        num_draws: Of the bootstrap over videos; 0 leaves the intervals out.

    Returns:
        spearman, mae and rmse, each with value, ci_low and ci_high, and the number of videos; None
        where undefined.
    """
    error = prediction - truth
    figures: dict[str, Callable[[Floats], Floats]] = {
        "spearman": lambda draws: spearman_in_draws(truth, prediction, draws),
        "mae": lambda draws: draws @ np.abs(error) / draws.sum(axis=1),
        "rmse": lambda draws: np.sqrt(draws @ error**2 / draws.sum(axis=1)),
    }
    flat: dict[str, Any] = {"videos": len(truth)}
    for name, figure in figures.items():
        flat[f"{name}.value"] = float(figure(every_video_once(len(truth)))[0])
        if num_draws and len(truth) > 1:
            ends = interval(figure(draw_videos(len(truth), num_draws)))
            flat.update(zip(interval_keys(f"{name}.value"), ends, strict=True))
    return nested(flat)
