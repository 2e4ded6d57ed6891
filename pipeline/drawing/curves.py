"""The picture of a training: losses and validation scores over the epochs."""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pipeline.drawing.png import hide_upper_right, save

_COLOURS = ("#4477AA", "#EE6677")


def training_picture(path: Path, history: pd.DataFrame, best_epoch: int) -> None:
    """Loss and validation scores over the epochs, the kept epoch marked.

    Args:
        path: The PNG.
        history: A row per epoch: epoch, train_loss, val_loss, val_accuracy, val_macro_f1, further
            columns; empty or None where there was no validation.
        best_epoch: Whose weights were kept.
    """
    panels = [(("train_loss", "val_loss"), "loss")]
    if history["val_macro_f1"].notna().any():
        panels.append((("val_accuracy", "val_macro_f1"), "validation score"))
    picture = Figure(figsize=(10, 3.2), layout="constrained")
    for axes, (columns, label) in zip(
        picture.subplots(1, len(panels), squeeze=False)[0], panels, strict=True
    ):
        for column, colour in zip(columns, _COLOURS, strict=True):
            if history[column].notna().any():
                name = column.replace("_", " ").replace("f1", "F1")
                axes.plot(history["epoch"], history[column], color=colour, label=name)
        axes.axvline(best_epoch, color="#999999", linewidth=1, linestyle=":", label="kept")
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_ylabel(label)
        axes.set_ylim(0, 1 if label == "validation score" else None)
        axes.legend(frameon=False, fontsize=8)
        hide_upper_right(axes)
    save(picture, path)
