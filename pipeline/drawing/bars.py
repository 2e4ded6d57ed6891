"""The picture of each phase's scores."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from pipeline.drawing.colours import class_colours
from pipeline.drawing.png import SCREEN_DPI, hide_upper_right, save


def score_bars(
    path: Path,
    scores: Mapping[str, Mapping[str, float | None]],
    classes: Sequence[str],
    dpi: int = SCREEN_DPI,
) -> None:
    """F1 of each phase with its interval, precision and recall beside it.

    Args:
        path: The PNG.
        scores: The group `phase` of a split in details.json.
        classes: Names in class order, drawn from top to bottom.
        dpi: Dots per inch.
    """
    picture = Figure(figsize=(8, 1.2 + 0.42 * len(classes)), layout="constrained")
    axes = picture.subplots()
    colours = class_colours(len(classes))
    for y, name in enumerate(classes):
        row = scores[name]
        f1, low, high = row["f1"], row.get("f1_ci_low"), row.get("f1_ci_high")
        axes.barh(y, f1 or 0, color=colours[y], height=0.62)
        if f1 is not None and low is not None and high is not None:
            axes.plot([low, high], [y, y], color="black", linewidth=1.2)
        for score_name, marker in (("precision", "<"), ("recall", ">")):
            score = row[score_name]
            if score is not None:
                axes.plot(score, y, marker, mfc="white", mec="black", ms=6, clip_on=False)
    axes.set_yticks(range(len(classes)), classes, fontsize=8)
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.set_xlabel("F1 of all test frames (bar), 95 % interval over videos (line)")
    for marker, label in (("<", "precision"), (">", "recall")):
        axes.plot([], [], marker, mfc="white", mec="black", label=label)
    picture.legend(loc="outside upper right", ncols=2, frameon=False, fontsize=8)
    hide_upper_right(axes)
    save(picture, path, dpi)
