"""Metrics of single images: those of frames that need no time, with intervals over images."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.metrics.bootstrap import draw_videos, every_video_once, interval
from pipeline.metrics.calibration import calibration_error, reliability, stack
from pipeline.metrics.frame import frame_figures
from pipeline.metrics.keys import interval_keys, is_in, nested, value_at
from pipeline.metrics.phase import PhaseStatistics, phase_counts, phase_figures
from pipeline.metrics.ranking import PooledFrames, ranking_figures
from pipeline.metrics.table import Metric
from pipeline.scored_video import Probabilities
from pipeline.segments import Labels

Floats = NDArray[np.float64]

# Doubles that the draws may take: 160 MB. Above 10,000 images there are fewer draws.
_MOST_COUNTS = 20_000_000

IMAGE_METRICS: tuple[Metric, ...] = (
    Metric(
        "frame.accuracy.pooled",
        "Accuracy",
        "Share of images with the right class.",
        kept="interval",
    ),
    Metric(
        "frame.recall.pooled",
        "Balanced accuracy",
        "Mean recall over the classes that are there: each class counts alike.",
        kept="interval",
    ),
    Metric(
        "frame.f1.pooled",
        "F1, mean over classes",
        "2 TP / (2 TP + FP + FN) of a class; mean over the classes.",
        kept="interval",
    ),
    Metric(
        "calibration.roc_auc.macro",
        "ROC AUC, macro",
        "How well a class's probability ranks its images before all others; mean over classes.",
        unit="ratio",
        digits=3,
        kept="value",
    ),
    Metric(
        "calibration.ece",
        "Expected calibration error",
        "Mean gap between confidence and the share predicted rightly, over 15 bins of confidence.",
        better="lower",
        kept="value",
    ),
)
"""The headline of a data set of images, by the keys that frames of videos have too."""


def summarise_images(
    truth: Labels, probabilities: Probabilities, classes: Sequence[str], num_draws: int
) -> dict[str, Any]:
    """Every metric of a split.

    Args:
        truth: (N,) classes.
        probabilities: (N, C), rows sum to 1.
        classes: Names in class order.
        num_draws: Of the bootstrap over images; 0 leaves the intervals out. At most 20,000,000 / N.

    Returns:
        Groups frame (pooled figures), phase.<name>, calibration, and the number of images, as
        metrics.summary.summarise names them. Fractions, rounded to 6 digits; None where undefined.
    """
    one_hot = np.eye(len(classes), dtype=np.int64)
    prediction = probabilities.argmax(axis=1)
    matrices = one_hot[truth][:, :, None] * one_hot[prediction][:, None, :]  # (N, C, C)
    phases = PhaseStatistics(classes, matrices)
    bins = stack([reliability(truth[i : i + 1], row[None]) for i, row in enumerate(probabilities)])

    def figures(draws: Floats) -> dict[str, Floats]:
        pooled = {k: v for k, v in frame_figures(matrices, draws).items() if k.endswith(".pooled")}
        ece = {"calibration.ece": calibration_error(bins, draws)}
        return pooled | phase_figures(phases, draws) | ece

    flat: dict[str, Any] = {"images": len(truth)}
    flat |= _with_intervals(figures, len(truth), num_draws)
    flat |= phase_counts(phases)
    flat |= ranking_figures(PooledFrames(classes, truth, probabilities))
    return nested(flat)


def _with_intervals(
    figures: Callable[[Floats], dict[str, Floats]], images: int, num_draws: int
) -> dict[str, float]:
    found = {key: float(value[0]) for key, value in figures(every_video_once(images)).items()}
    num_draws = min(num_draws, _MOST_COUNTS // images)
    if num_draws and images > 1:
        for key, values in figures(draw_videos(images, num_draws)).items():
            found |= dict(zip(interval_keys(key), interval(values), strict=True))
    return found


def compared_image_values(details: dict[str, Any]) -> dict[str, Any]:
    """The few values of a split that people compare, for reports/metrics.json.

    Args:
        details: What summarise_images returned.
    """
    flat: dict[str, Any] = {}
    for metric in IMAGE_METRICS:
        ends = metric.interval_keys if metric.kept == "interval" else ()
        flat |= {k: value_at(details, k) for k in (metric.key, *ends) if is_in(details, k)}
    return nested(flat)
