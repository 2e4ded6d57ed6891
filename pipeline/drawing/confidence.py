"""Pictures of what probabilities are worth: reliability and ROC curves."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pipeline.drawing.colours import class_colours
from pipeline.drawing.png import hide_upper_right, save
from pipeline.metrics.calibration import BINS, Reliability
from pipeline.metrics.ranking import roc_points
from pipeline.scored_video import Probabilities
from pipeline.segments import Labels

ROC_POINTS = 200


def reliability_picture(path: Path, bins: Reliability) -> None:
    """Accuracy over confidence per bin, above how many frames each bin holds.

    Args:
        path: The PNG.
        bins: (BINS,) over all videos.
    """
    picture = Figure(figsize=(4.6, 4.6), layout="constrained")
    upper, lower = picture.subplots(2, sharex=True, height_ratios=[3, 1])
    _unit_square(upper, "share predicted rightly")
    there = bins.count > 0
    upper.plot(
        bins.confidence[there] / bins.count[there],
        bins.right[there] / bins.count[there],
        "o-",
        color="#332288",
        markersize=4,
        clip_on=False,
    )
    upper.text(0.04, 0.9, "too modest", color="#777777", fontsize=8)
    upper.text(0.96, 0.06, "too sure", color="#777777", fontsize=8, ha="right")
    edges = np.linspace(0, 1, BINS + 1)
    lower.stairs(bins.count / bins.count.sum(), edges, fill=True, color="#8a97a6")
    lower.set_ylabel("frames")
    lower.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
    lower.set_xlabel("confidence: probability of the predicted phase")
    hide_upper_right(lower)
    save(picture, path)


def roc_picture(
    path: Path,
    truth: Labels,
    probabilities: Probabilities,
    classes: Sequence[str],
    areas: Sequence[float | None],
) -> None:
    """One ROC curve per phase against the rest.

    Args:
        path: The PNG.
        truth: (T,) classes of labelled frames.
        probabilities: (T, C).
        classes: Names in class order.
        areas: Under the curves, for the legend; None where undefined.
    """
    picture = Figure(figsize=(6.4, 4.6), layout="constrained")
    axes = picture.subplots()
    _unit_square(axes, "true positive rate (recall)")
    colours = class_colours(len(classes))
    for number, (name, area) in enumerate(zip(classes, areas, strict=True)):
        points = roc_points(truth, probabilities, number)
        if points is not None:
            axes.plot(
                *_thinned(*points),
                color=colours[number],
                label=f"{name} {area:.3f}",
                # Colour alone does not tell seven lines apart in print.
                linestyle=("-", "--", "-.", ":")[number % 4],
            )
    axes.set_xlabel("false positive rate")
    picture.legend(
        loc="outside right center", frameon=False, fontsize=7, title="AUC", title_fontsize=8
    )
    save(picture, path)


def _unit_square(axes: Axes, label: str) -> None:
    axes.plot([0, 1], [0, 1], color="#bbbbbb", linewidth=1, linestyle=":")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_ylabel(label)
    hide_upper_right(axes)


def _thinned(
    x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """As many points as a picture can show, evenly along the curve, both ends kept."""
    if len(x) <= ROC_POINTS:
        return x, y
    along = np.r_[0, np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))]
    kept = np.unique(np.searchsorted(along, np.linspace(0, along[-1], ROC_POINTS)))
    return x[kept], y[kept]
