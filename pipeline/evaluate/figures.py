"""The report's pictures, as PNG files whose bytes depend on the data alone."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from pipeline.atomic import replacing
from pipeline.evaluate.colours import UNLABELLED, phase_colours
from pipeline.segments import Labels

matplotlib.use("Agg")


def ribbon(
    path: Path, truth: Labels, prediction: Labels, fps: float, phases: Sequence[str], title: str
) -> None:
    """Truth over prediction of one video.

    Args:
        path: The PNG.
        truth: (T,) classes, -1 where unlabelled.
        prediction: (T,) classes.
        fps: Frames per second of both.
        phases: Names in class order.
        title: Of the picture.
    """
    figure = Figure(figsize=(10, 2.1), layout="constrained")
    axes = figure.subplots()
    colours = ListedColormap([UNLABELLED, *phase_colours(len(phases))])
    minutes = len(truth) / fps / 60
    axes.imshow(
        np.stack([truth, prediction]) + 1,
        aspect="auto",
        interpolation="nearest",
        cmap=colours,
        vmin=0,
        vmax=len(phases),
        extent=(0, minutes, 2, 0),
    )
    axes.axhline(1, color="white", linewidth=3)
    axes.set_yticks([0.5, 1.5], ["truth", "prediction"])
    axes.set_xlabel("time (min)")
    axes.set_title(title, loc="left", fontsize=10)
    axes.tick_params(axis="y", length=0)
    _without_frame(axes)
    shown = [i for i in range(len(phases)) if i in truth or i in prediction]
    figure.legend(
        handles=[Patch(color=phase_colours(len(phases))[i], label=phases[i]) for i in shown],
        loc="outside lower center",
        ncols=min(7, len(shown)),
        frameon=False,
        fontsize=7,
    )
    _save(figure, path)


def confusion_picture(path: Path, matrix: NDArray[np.int64], phases: Sequence[str]) -> None:
    """Shares of each true phase as colour, with counts of frames below the percentages.

    Args:
        path: The PNG.
        matrix: (C, C) frames by true phase (rows) and predicted phase (columns).
        phases: Names in class order.
    """
    side = max(5.0, 1.5 + 0.75 * len(phases))
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    axes = figure.subplots()
    rows = matrix.sum(axis=1, keepdims=True)
    shares = np.divide(matrix, rows, out=np.zeros(matrix.shape), where=rows > 0)
    picture = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(matrix):
        if count:
            axes.text(
                column,
                row,
                f"{100 * shares[row, column]:.0f} %\n{count}",
                ha="center",
                va="center",
                fontsize=7,
                color="white" if shares[row, column] > 0.55 else "black",
            )
    places = range(len(phases))
    axes.set_xticks(places, phases, rotation=40, ha="right", fontsize=8)
    axes.set_yticks(places, phases, fontsize=8)
    axes.set_xlabel("predicted phase")
    axes.set_ylabel("true phase")
    _without_frame(axes)
    figure.colorbar(picture, ax=axes, label="share of the true phase", shrink=0.7)
    _save(figure, path)


def curves_picture(path: Path, history: pd.DataFrame, best_epoch: int) -> None:
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
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=8)
    _save(figure, path)


def _without_frame(axes: Axes) -> None:
    for spine in axes.spines.values():
        spine.set_visible(False)


def _save(figure: Figure, path: Path) -> None:
    """Write a PNG without a version or date in its metadata."""
    with replacing(path) as partial:
        figure.savefig(partial, dpi=130, format="png", metadata={"Software": None})
