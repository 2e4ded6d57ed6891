"""Pictures of curves, as PNG files: training, reliability, ROC."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pipeline.drawing.colours import phase_colours
from pipeline.drawing.pictures import SCREEN_DPI, save
from pipeline.metrics.calibration import BINS, Probabilities, Reliability, roc_points
from pipeline.segments import Labels

ROC_POINTS = 200


def training_picture(path: Path, history: pd.DataFrame, best_epoch: int) -> None:
    """Loss and validation figures over the epochs.

    Args:
        path: The PNG.
        history: Columns epoch, train_loss, val_loss, val_accuracy, val_macro_f1.
        best_epoch: Whose weights were kept.
    """
    panels = [(("train_loss", "val_loss"), "loss")]
    if history["val_macro_f1"].notna().any():
        panels.append((("val_accuracy", "val_macro_f1"), "validation score"))
    figure = Figure(figsize=(10, 3.2), layout="constrained")
    for axes, (columns, label) in zip(
        figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True
    ):
        for column, colour in zip(columns, ("#4477AA", "#EE6677"), strict=True):
            if history[column].notna().any():
                name = column.replace("_", " ").replace("f1", "F1")
                axes.plot(history["epoch"], history[column], color=colour, label=name)
        axes.axvline(best_epoch, color="#999999", linewidth=1, linestyle=":", label="kept")
        axes.set_xlabel("epoch")
        axes.set_ylabel(label)
        axes.set_ylim(0, 1 if label == "validation score" else None)
        axes.legend(frameon=False, fontsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    save(figure, path, SCREEN_DPI)


def reliability_picture(path: Path, bins: Reliability) -> None:
    """Accuracy over confidence per bin, above how many frames each bin holds.

    Args:
        path: The PNG.
        bins: (BINS,) over all videos.
    """
    figure = Figure(figsize=(4.6, 4.6), layout="constrained")
    upper, lower = figure.subplots(2, sharex=True, height_ratios=[3, 1])
    _unit_square(upper, "share predicted rightly")
    there = bins.frames > 0
    upper.plot(
        bins.confidence[there] / bins.frames[there],
        bins.right[there] / bins.frames[there],
        "o-",
        color="#332288",
        markersize=4,
        clip_on=False,
    )
    upper.text(0.04, 0.9, "too modest", color="#777777", fontsize=8)
    upper.text(0.96, 0.06, "too sure", color="#777777", fontsize=8, ha="right")
    edges = np.linspace(0, 1, BINS + 1)
    lower.stairs(bins.frames / bins.frames.sum(), edges, fill=True, color="#8a97a6")
    lower.set_ylabel("frames")
    lower.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
    lower.set_xlabel("confidence: probability of the predicted phase")
    lower.spines[["top", "right"]].set_visible(False)
    save(figure, path, SCREEN_DPI)


def roc_picture(
    path: Path,
    truth: Labels,
    probabilities: Probabilities,
    phases: Sequence[str],
    areas: Sequence[float | None],
) -> None:
    """One ROC curve per phase against the rest.

    Args:
        path: The PNG.
        truth: (T,) classes of labelled frames.
        probabilities: (T, C).
        phases: Names in class order.
        areas: Under the curves, for the legend; None where undefined.
    """
    figure = Figure(figsize=(6.4, 4.6), layout="constrained")
    axes = figure.subplots()
    _unit_square(axes, "true positive rate (recall)")
    colours = phase_colours(len(phases))
    for phase, (name, area) in enumerate(zip(phases, areas, strict=True)):
        points = roc_points(truth, probabilities, phase)
        if points is not None:
            axes.plot(
                *_thinned(*points),
                color=colours[phase],
                label=f"{name} {area:.3f}",
                # Colour alone does not tell seven lines apart in print.
                linestyle=("-", "--", "-.", ":")[phase % 4],
            )
    axes.set_xlabel("false positive rate")
    figure.legend(
        loc="outside right center", frameon=False, fontsize=7, title="AUC", title_fontsize=8
    )
    save(figure, path, SCREEN_DPI)


def _unit_square(axes: Axes, label: str) -> None:
    axes.plot([0, 1], [0, 1], color="#bbbbbb", linewidth=1, linestyle=":")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_ylabel(label)
    axes.spines[["top", "right"]].set_visible(False)


def _thinned(
    x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """As many points as a picture can show, evenly along the curve, both ends kept."""
    if len(x) <= ROC_POINTS:
        return x, y
    along = np.r_[0, np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))]
    kept = np.unique(np.searchsorted(along, np.linspace(0, along[-1], ROC_POINTS)))
    return x[kept], y[kept]
