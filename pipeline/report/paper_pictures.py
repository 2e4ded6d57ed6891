"""The pictures for a paper, drawn from what the evaluate stage wrote: `report --paper`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import paths
from pipeline.drawing.bars import score_bars
from pipeline.drawing.confusion import confusion_picture
from pipeline.drawing.png import PAPER_DPI
from pipeline.drawing.ribbon import ribbon_picture
from pipeline.errors import PipelineError
from pipeline.metrics.frame import confusion
from pipeline.prediction_files import read_prediction


def write_paper_pictures(details: Mapping[str, Any], folder: Path = paths.PAPER) -> Path:
    """Write ribbons, confusion matrix and per-phase bars of the test videos at 300 dpi.

    Args:
        details: The content of reports/details.json.
        folder: Where the PNGs go. Their bytes depend on the predictions alone.

    Returns:
        The folder.

    Raises:
        PipelineError: There are no predictions, or none of phases.
    """
    if "label_fps" not in details["test"]:
        held = "single images" if "images" in details["test"] else "one answer per video"
        raise PipelineError(
            f"{paths.DETAILS}: holds {held}; the pictures are of phases. Use the tables of "
            "reports/plots and reports/predictions."
        )
    files = sorted(paths.PREDICTIONS.glob("*.csv"))
    videos = {path.stem: read_prediction(path, str(path)) for path in files}
    if not videos:
        raise PipelineError(f"{paths.PREDICTIONS}: no predictions. Run `dvc repro` first.")
    classes = next(iter(videos.values())).classes
    fps = float(details["test"]["label_fps"])
    matrix = np.zeros((len(classes), len(classes)), dtype=np.int64)
    for name, video in videos.items():
        scored = video.scored
        ribbon_picture(folder / f"ribbon_{name}.png", scored, fps, classes, name, PAPER_DPI)
        known = scored.labelled
        matrix += confusion(scored.truth[known], scored.prediction[known], len(classes))
    confusion_picture(folder / "confusion.png", matrix, classes, PAPER_DPI)
    score_bars(folder / "phases.png", details["test"]["phase"], classes, PAPER_DPI)
    return folder
