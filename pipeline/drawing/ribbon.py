"""The picture of one video's phases over time: truth, prediction, confidence."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from pipeline.drawing.colours import UNLABELLED, class_colours
from pipeline.drawing.png import SCREEN_DPI, hide_box, hide_upper_right, save
from pipeline.scored_video import Probabilities, ScoredVideo


def ribbon_picture(
    path: Path,
    video: ScoredVideo,
    fps: float,
    classes: Sequence[str],
    title: str,
    dpi: int = SCREEN_DPI,
) -> None:
    """Truth over prediction over confidence.

    Args:
        path: The PNG.
        video: Truth, prediction and, for the confidence, probabilities.
        fps: Frames per second.
        classes: Names in class order.
        title: Of the picture.
        dpi: Dots per inch; the picture is 10 inches wide.
    """
    rows = 1 if video.probabilities is None else 2
    picture = Figure(figsize=(10, 1.5 + 0.6 * rows), layout="constrained")
    panels = picture.subplots(rows, sharex=True, squeeze=False, height_ratios=[2, 1][:rows])[:, 0]
    minutes = len(video.truth) / fps / 60
    _bands(panels[0], video, minutes, len(classes))
    panels[0].set_title(title, loc="left", fontsize=10)
    if video.probabilities is not None:
        _confidence(panels[1], video.probabilities, minutes)
        panels[0].tick_params(axis="x", bottom=False)
    panels[-1].set_xlabel("time (min)")
    colours = class_colours(len(classes))
    shown = [i for i in range(len(classes)) if i in video.truth or i in video.prediction]
    picture.legend(
        handles=[Patch(color=colours[i], label=classes[i]) for i in shown],
        loc="outside lower center",
        ncols=min(7, len(shown)),
        frameon=False,
        fontsize=7,
    )
    save(picture, path, dpi)


def _bands(axes: Axes, video: ScoredVideo, minutes: float, num_classes: int) -> None:
    axes.imshow(
        np.stack([video.truth, video.prediction]) + 1,
        aspect="auto",
        interpolation="nearest",
        cmap=ListedColormap([UNLABELLED, *class_colours(num_classes)]),
        vmin=0,
        vmax=num_classes,
        extent=(0, minutes, 2, 0),
    )
    axes.axhline(1, color="white", linewidth=3)
    axes.set_yticks([0.5, 1.5], ["truth", "prediction"])
    axes.tick_params(axis="y", length=0)
    hide_box(axes)


def _confidence(axes: Axes, probabilities: Probabilities, minutes: float) -> None:
    confidence = probabilities.max(axis=1)
    edges = np.linspace(0, minutes, len(confidence) + 1)
    axes.stairs(confidence, edges, fill=True, color="#8a97a6")
    axes.set_ylim(0, 1)
    axes.set_yticks([0, 1])
    axes.set_ylabel("confidence", rotation=0, ha="right", va="center")
    hide_upper_right(axes)
