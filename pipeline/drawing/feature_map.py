"""The picture of features on a map."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from pipeline.drawing.colours import class_colours
from pipeline.drawing.png import hide_upper_right, save

_LISTED = 12
_TEST_EDGE = "#1d2733"


def feature_map_picture(
    path: Path,
    points: NDArray[np.float32],
    axes_names: tuple[str, str],
    groups: NDArray[np.int64],
    names: Sequence[str],
    colours: Sequence[str],
    test: NDArray[np.bool_],
    title: str,
) -> None:
    """Points in the colours of their groups, those of test videos on top and with a dark edge.

    Args:
        path: The PNG.
        points: (N, 2).
        axes_names: What the two axes are.
        groups: (N,) numbers of phases or of videos.
        names: Of the groups; more than twelve are not listed.
        colours: Of the groups.
        test: (N,) which points are of test videos.
        title: Above the picture, to the left.
    """
    picture = Figure(figsize=(5, 5.6))
    # At the same place in every picture, so that two of them compare.
    axes = picture.add_axes((0.06, 0.23, 0.92, 0.71))
    # Mixed, so that no group lies on top of all others.
    order = np.random.default_rng(0).permutation(len(points))
    size = float(np.clip(20_000 / len(points), 5, 22))
    for chosen, alpha, edge in (
        (order[~test[order]], 0.55, "none"),
        (order[test[order]], 0.9, _TEST_EDGE),
    ):
        x, y = points[chosen].T
        of_points = [colours[group] for group in groups[chosen]]
        axes.scatter(x, y, size, of_points, alpha=alpha, ec=edge, lw=0.5)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_xlabel(axes_names[0], fontsize=8)
    axes.set_ylabel(axes_names[1], fontsize=8)
    axes.set_title(title, loc="left", fontsize=10)
    hide_upper_right(axes)
    if len(names) <= _LISTED:
        _list(axes, [(names[i], colours[i]) for i in np.unique(groups)])
    else:
        axes.text(0.5, -0.13, f"{len(names)} colours", transform=axes.transAxes, ha="center")
    save(picture, path)


def video_colours(number: int) -> list[str]:
    """A colour per video: those of phases for a few, steps around the wheel of hues for many."""
    if number <= _LISTED:
        return class_colours(number)
    hues = matplotlib.colormaps["hsv"](np.arange(number) / number)
    return [matplotlib.colors.to_hex(colour) for colour in hues]


def _list(axes: Axes, groups: Sequence[tuple[str, str]]) -> None:
    axes.legend(
        handles=[
            Line2D([], [], marker="o", ls="", ms=6, color=colour, label=name)
            for name, colour in groups
        ],
        loc="upper center",
        bbox_to_anchor=(0.5, -0.07),
        ncols=3,
        frameon=False,
        fontsize=7,
        handletextpad=0.2,
    )
