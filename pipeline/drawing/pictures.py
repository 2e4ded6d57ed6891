"""Pictures of phases, as PNG files whose bytes depend on the data alone."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from pipeline.atomic import replacing
from pipeline.drawing.colours import UNLABELLED, phase_colours
from pipeline.metrics.measure import ScoredVideo

matplotlib.use("Agg")
SCREEN_DPI = 130
PAPER_DPI = 300


def ribbon(
    path: Path, video: ScoredVideo, fps: float, phases: Sequence[str], title: str, dpi: int
) -> None:
    """Truth over prediction over confidence of one video.

    Args:
        path: The PNG.
        video: Truth, prediction and, for the confidence, probabilities.
        fps: Frames per second.
        phases: Names in class order.
        title: Of the picture.
        dpi: Dots per inch; the picture is 10 inches wide.
    """
    rows = 1 if video.probabilities is None else 2
    figure = Figure(figsize=(10, 1.5 + 0.6 * rows), layout="constrained")
    panels = figure.subplots(rows, sharex=True, squeeze=False, height_ratios=[2, 1][:rows])[:, 0]
    axes: Axes = panels[0]
    minutes = len(video.truth) / fps / 60
    axes.imshow(
        np.stack([video.truth, video.prediction]) + 1,
        aspect="auto",
        interpolation="nearest",
        cmap=ListedColormap([UNLABELLED, *phase_colours(len(phases))]),
        vmin=0,
        vmax=len(phases),
        extent=(0, minutes, 2, 0),
    )
    axes.axhline(1, color="white", linewidth=3)
    axes.set_yticks([0.5, 1.5], ["truth", "prediction"])
    axes.set_title(title, loc="left", fontsize=10)
    axes.tick_params(axis="y", length=0)
    _without_frame(axes)
    if video.probabilities is not None:
        confidence = video.probabilities.max(axis=1)
        edges = np.linspace(0, minutes, len(confidence) + 1)
        panels[1].stairs(confidence, edges, fill=True, color="#8a97a6")
        panels[1].set_ylim(0, 1)
        panels[1].set_yticks([0, 1])
        panels[1].set_ylabel("confidence", rotation=0, ha="right", va="center")
        panels[1].spines[["top", "right"]].set_visible(False)
        axes.tick_params(axis="x", bottom=False)
    panels[-1].set_xlabel("time (min)")
    shown = [i for i in range(len(phases)) if i in video.truth or i in video.prediction]
    figure.legend(
        handles=[Patch(color=phase_colours(len(phases))[i], label=phases[i]) for i in shown],
        loc="outside lower center",
        ncols=min(7, len(shown)),
        frameon=False,
        fontsize=7,
    )
    save(figure, path, dpi)


def confusion_picture(
    path: Path, matrix: NDArray[np.int64], phases: Sequence[str], dpi: int
) -> None:
    """Shares of each true phase as colour, with counts of frames below the percentages.

    Args:
        path: The PNG.
        matrix: (C, C) frames by true phase (rows) and predicted phase (columns).
        phases: Names in class order.
        dpi: Dots per inch.
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
    save(figure, path, dpi)


def phase_bars(
    path: Path, scores: Mapping[str, Mapping[str, float | None]], phases: Sequence[str], dpi: int
) -> None:
    """F1 of each phase with its interval, precision and recall beside it.

    Args:
        path: The PNG.
        scores: The group `phase` of metrics.json.
        phases: Names in class order, drawn from top to bottom.
        dpi: Dots per inch.
    """
    figure = Figure(figsize=(8, 1.2 + 0.42 * len(phases)), layout="constrained")
    axes = figure.subplots()
    for place, phase in enumerate(phases):
        row = scores[phase]
        f1, low, high = row["f1"], row.get("f1_ci_low"), row.get("f1_ci_high")
        axes.barh(place, f1 or 0, color=phase_colours(len(phases))[place], height=0.62)
        if f1 is not None and low is not None and high is not None:
            axes.plot([low, high], [place, place], color="black", linewidth=1.2)
        for name, marker in (("precision", "<"), ("recall", ">")):
            score = row[name]
            if score is not None:
                axes.plot(score, place, marker, mfc="white", mec="black", ms=6, clip_on=False)
    axes.set_yticks(range(len(phases)), phases, fontsize=8)
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.set_xlabel("F1 of all test frames (bar), 95 % interval over videos (line)")
    for marker, name in (("<", "precision"), (">", "recall")):
        axes.plot([], [], marker, mfc="white", mec="black", label=name)
    figure.legend(loc="outside upper right", ncols=2, frameon=False, fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    save(figure, path, dpi)


def save(figure: Figure, path: Path, dpi: int) -> None:
    """Write a PNG without a version or date in its metadata."""
    with replacing(path) as partial:
        figure.savefig(partial, dpi=dpi, format="png", metadata={"Software": None})


def _without_frame(axes: Axes) -> None:
    for spine in axes.spines.values():
        spine.set_visible(False)
