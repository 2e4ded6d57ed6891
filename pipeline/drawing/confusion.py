"""The picture of a confusion matrix."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pipeline.drawing.png import SCREEN_DPI, hide_box, save


def confusion_picture(
    path: Path,
    matrix: NDArray[np.int64],
    classes: Sequence[str],
    dpi: int = SCREEN_DPI,
    title: str = "",
) -> None:
    """Shares of each true phase as colour, with counts of frames below the percentages.

    Args:
        path: The PNG.
        matrix: (C, C) frames by true class (rows) and predicted class (columns).
        classes: Names in class order.
        dpi: Dots per inch.
        title: Above the picture, to the left.
    """
    inches = max(5.0, 1.5 + 0.75 * len(classes))
    picture = Figure(figsize=(inches + 1, inches), layout="constrained")
    axes = picture.subplots()
    rows = matrix.sum(axis=1, keepdims=True)
    shares = np.divide(matrix, rows, out=np.zeros(matrix.shape), where=rows > 0)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
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
    ticks = range(len(classes))
    axes.set_xticks(ticks, classes, rotation=40, ha="right", fontsize=8)
    axes.set_yticks(ticks, classes, fontsize=8)
    axes.set_xlabel("predicted phase")
    axes.set_ylabel("true phase")
    if title:
        axes.set_title(title, loc="left", fontsize=10)
    hide_box(axes)
    picture.colorbar(image, ax=axes, label="share of the true phase", shrink=0.7)
    save(picture, path, dpi)
