"""Pictures of a study: its values over the trials, and which parameters decided them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pipeline.drawing.png import hide_upper_right, save

_BLUE, _RED, _GREY = "#4477AA", "#EE6677", "#999999"


def history_picture(
    path: Path, values: Mapping[int, float], without: Sequence[int], rises: bool, label: str
) -> None:
    """Each trial's value, the best so far as a line, trials without a value as crosses below.

    Args:
        path: The PNG.
        values: By number of the trial.
        without: Numbers of trials that failed or were pruned.
        rises: Whether higher values are better.
        label: What the value is.
    """
    picture = Figure(figsize=(7, 3.2), layout="constrained")
    axes = picture.subplots()
    numbers = sorted(values)
    found = [values[number] for number in numbers]
    best = np.maximum.accumulate(found) if rises else np.minimum.accumulate(found)
    axes.step(numbers, best, where="post", color=_RED, label="best so far")
    axes.plot(numbers, found, "o", color=_BLUE, markersize=5, label="trial")
    if without:
        low = [0.02] * len(without)
        transform = axes.get_xaxis_transform()
        axes.plot(without, low, "x", color=_GREY, transform=transform, label="failed or pruned")
    axes.set_xlabel("trial")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylabel(label)
    picture.legend(loc="outside upper right", ncols=3, frameon=False, fontsize=8)
    hide_upper_right(axes)
    save(picture, path)


def importance_picture(path: Path, importances: Mapping[str, float]) -> None:
    """How much of the variance of the values each parameter decides, the largest on top.

    Args:
        path: The PNG.
        importances: Shares by key.
    """
    picture = Figure(figsize=(7, 0.9 + 0.36 * len(importances)), layout="constrained")
    axes = picture.subplots()
    keys = sorted(importances, key=lambda key: importances[key])
    bars = axes.barh(keys, [importances[key] for key in keys], color=_BLUE, height=0.62)
    axes.bar_label(bars, [f"{100 * importances[key]:.0f} %" for key in keys], padding=4, fontsize=8)
    axes.set_xlim(0, 1.08)
    axes.set_xticks(np.linspace(0, 1, 6))
    axes.xaxis.set_major_formatter(lambda share, _: f"{100 * share:.0f} %")
    axes.set_xlabel("share of the variance between trials (fANOVA)")
    hide_upper_right(axes)
    save(picture, path)
