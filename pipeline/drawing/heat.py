"""Heat maps over images, and the picture of what one prediction was made from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import matplotlib
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pipeline.drawing.png import hide_box, save

# Dark to bright, so that colour-blind people and black-and-white prints can read it too.
COLOURS = "inferno"
_SIDE = 2
"""Inches of a heat map."""
# How much of the colour covers the image: none at 0, so that it shows what it is, and never all.
_COVER = 0.8
# How grey the image is below, so that the colours are those of the scale.
_PALE = 0.85
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
    cover = _COVER * smooth[..., None]
    grey = image.mean(axis=2, keepdims=True)
    below = _PALE * grey + (1 - _PALE) * image
    return np.asarray(np.round((1 - cover) * below + cover * colour), dtype=np.uint8)


@dataclass(frozen=True)
class Panel:
    """One heat map.

    Attributes:
        image: (S, S, 3) uint8 RGB, what the network saw.
        heat: (h, w), 0 to 1, of all of it.
        note: Stands below it, where there is something to say.
    """

    image: NDArray[np.uint8]
    heat: NDArray[np.float32]
    note: str = ""


def heat_picture(
    path: Path,
    frame: NDArray[np.uint8],
    title: Sequence[str],
    rows: Mapping[str, Mapping[str, Panel]],
) -> None:
    """A frame, and beside it what the network saw of it under heat maps.

    Args:
        path: The PNG.
        frame: (H, W, 3) uint8 RGB.
        title: Lines above the picture, the first one bold.
        rows: Heat maps by what they show, by how they were made: one row each.
    """
    columns = max(len(row) for row in rows.values())
    seen = next(iter(next(iter(rows.values())).values())).image
    aspect = frame.shape[1] / frame.shape[0]
    picture = Figure(
        figsize=(_SIDE * (aspect + columns) + 0.9, (_SIDE + 0.2) * len(rows) + 0.9),
        layout="constrained",
    )
    grid = picture.subplots(
        len(rows), 1 + columns, squeeze=False, width_ratios=[aspect, *[1] * columns]
    )
    for axes in grid.flat:
        hide_box(axes)
        axes.set(xticks=[], yticks=[])
    plain = {"the frame": frame, "what the backbone saw": seen}
    for axes, (name, image) in zip(grid[:, 0], plain.items(), strict=False):
        axes.imshow(image, interpolation="lanczos")
        axes.set_box_aspect(1 / aspect)  # of the frame, for both of them
        axes.set_aspect("equal", adjustable="datalim")
        axes.set_title(f"{name}\n{image.shape[1]} x {image.shape[0]}", fontsize=9)
    for line, (method, panels) in zip(grid[:, 1:], rows.items(), strict=True):
        line[0].set_ylabel(method, fontsize=9)
        for axes, (name, panel) in zip(line, panels.items(), strict=False):
            axes.imshow(overlaid(panel.image, panel.heat), interpolation="lanczos")
            axes.set_title(name, fontsize=9)
            axes.set_xlabel(panel.note, fontsize=8, color="#555555")
    bar = picture.colorbar(
        ScalarMappable(cmap=COLOURS), ax=grid[:, 1:], ticks=[0, 0.5, 1], shrink=0.7, aspect=30
    )
    bar.set_label("share of the map's maximum", fontsize=8)
    bar.ax.tick_params(labelsize=8)
    picture.suptitle("\n".join(title), fontsize=10, x=0.01, ha="left")
    save(picture, path)
