"""The picture of several trainings: a line for each, over the epochs."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pipeline.drawing.png import hide_upper_right, save

_PANELS = {"train_loss": "loss", "val_loss": "val loss", "val_macro_f1": "val macro F1"}


def member_curves_picture(path: Path, history: pd.DataFrame, best_epochs: Sequence[int]) -> None:
    """Losses and validation score of each training, its kept epoch marked by a dot.

    Args:
        path: The PNG.
        history: A row per epoch: fold, seed, epoch, train_loss, val_loss, val_macro_f1, further
            columns; those of a training lie together. Empty where there was no validation.
        best_epochs: Whose weights were kept, of each training in the order of the rows.
    """
    columns = [name for name in _PANELS if history[name].notna().any()]
    trainings = [rows for _, rows in history.groupby(["fold", "seed"], dropna=False, sort=False)]
    picture = Figure(figsize=(10, 3.2), layout="constrained")
    panels = picture.subplots(1, len(columns), squeeze=False)[0]
    for axes, column in zip(panels, columns, strict=True):
        for rows, best in zip(trainings, best_epochs, strict=True):
            (line,) = axes.plot(rows["epoch"], rows[column], linewidth=0.8, alpha=0.8)
            kept = rows[rows["epoch"] == best]
            axes.plot(kept["epoch"], kept[column], "o", markersize=3, color=line.get_color())
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_ylabel(_PANELS[column])
        axes.set_ylim(0, 1 if column == "val_macro_f1" else None)
        hide_upper_right(axes)
    save(picture, path)
