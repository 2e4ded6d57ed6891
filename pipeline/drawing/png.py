"""PNG files whose bytes depend on what is drawn alone, and what all pictures share."""

from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.atomic import replacing

matplotlib.use("Agg")
SCREEN_DPI = 130
PAPER_DPI = 300


def save(picture: Figure, path: Path, dpi: int = SCREEN_DPI) -> None:
    """Write a PNG without a version or date in its metadata."""
    with replacing(path) as partial:
        picture.savefig(partial, dpi=dpi, format="png", metadata={"Software": None})


def hide_box(axes: Axes) -> None:
    """Take away all four lines around the data."""
    axes.spines[:].set_visible(False)


def hide_upper_right(axes: Axes) -> None:
    """Take away the lines above the data and to their right, which carry no ticks."""
    axes.spines[["top", "right"]].set_visible(False)
