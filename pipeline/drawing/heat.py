"""Heat maps over images, and the picture of what one prediction was made from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure, SubFigure
from numpy.typing import NDArray

from pipeline.drawing.png import hide_box, save

# Its blues, greens and yellows occur nowhere in tissue, and colour-blind people can tell them apart.
COLOURS = "viridis"
# How much of the colour covers the image: none at 0, so that it shows what it is, and never all.
_COVER = 0.75
# Steps of heat: what differs in its last bits only, as between processors, is drawn alike.
_STEPS = 100


def overlaid(image: NDArray[np.uint8], heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    """An image with heat over it, the colour the stronger the hotter.

    Args:
        image: (H, W, 3) uint8 RGB.
        heat: (h, w), 0 to 1, of all of the image; enlarged smoothly.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    coarse = np.round(np.asarray(heat, dtype=np.float32) * _STEPS) / _STEPS
    size = (image.shape[1], image.shape[0])
    smooth = np.clip(cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC), 0, 1)
    colour = matplotlib.colormaps[COLOURS](smooth)[..., :3] * 255
    cover = _COVER * np.sqrt(smooth)[..., None]
    return np.asarray(np.round((1 - cover) * image + cover * colour), dtype=np.uint8)


@dataclass(frozen=True)
class Panel:
    """One heat map.

    Attributes:
        heat: (h, w), 0 to 1.
        note: Stands below it, where there is something to say.
    """

    heat: NDArray[np.float32]
    note: str = ""


def heat_picture(
    path: Path,
    frame: NDArray[np.uint8],
    seen: NDArray[np.uint8],
    title: Sequence[str],
    rows: Mapping[str, Mapping[str, Panel]],
) -> None:
    """A frame, and beside it what the network saw of it under heat maps.

    Args:
        path: The PNG.
        frame: (H, W, 3) uint8 RGB.
        seen: (S, S, 3) uint8 RGB.
        title: Lines above the picture, the first one bold.
        rows: Heat maps by what they show, by how they were made: one row each.
    """
    columns = max(len(row) for row in rows.values())
    side = 2.6
    width_of_frame = 1.25 * side * frame.shape[1] / frame.shape[0]
    heading = 0.25 + 0.22 * len(title)
    picture = Figure(
        figsize=(width_of_frame + columns * side + 0.9, len(rows) * (side + 0.45) + heading),
        layout="constrained",
    )
    left, right = picture.subfigures(
        1, 2, width_ratios=[width_of_frame, columns * side + 0.9], wspace=0.02
    )
    axes = left.subplots()
    _image(axes, frame)
    axes.set_title("the frame", fontsize=9)
    grid = right.subplots(len(rows), columns, squeeze=False)
    for line, (method, panels) in zip(grid, rows.items(), strict=True):
        for place in line[len(panels) :]:
            place.set_visible(False)
        for number, (place, (name, panel)) in enumerate(zip(line, panels.items(), strict=False)):
            _image(place, overlaid(seen, panel.heat))
            place.set_title(name, fontsize=9)
            place.set_xlabel(panel.note, fontsize=8, color="#555555")
            if number == 0:
                place.set_ylabel(method, fontsize=10)
    _scale(right, grid)
    picture.suptitle("\n".join(title), fontsize=10, x=0.01, ha="left")
    save(picture, path)


def _image(axes: Axes, image: NDArray[np.uint8]) -> None:
    axes.imshow(image, interpolation="lanczos")
    axes.set_xticks([])
    axes.set_yticks([])
    hide_box(axes)


def _scale(figure: SubFigure, grid: NDArray[np.object_]) -> None:
    """What the colours mean."""
    bar = figure.colorbar(
        ScalarMappable(cmap=COLOURS), ax=grid, ticks=[0, 0.5, 1], shrink=0.6, aspect=30
    )
    bar.set_label("share of the map's maximum", fontsize=8)
    bar.ax.tick_params(labelsize=8)
