"""The figures for a paper, drawn from what the evaluate stage wrote: `report --paper`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.drawing.pictures import PAPER_DPI, confusion_picture, phase_bars, ribbon
from pipeline.errors import PipelineError
from pipeline.metrics.frame import confusion
from pipeline.prediction_files import FOLDER, read_prediction

PAPER = Path("reports/paper")


def write_paper_figures(metrics: Mapping[str, Any], folder: Path = PAPER) -> Path:
    """Write ribbons, confusion matrix and per-phase bars of the test videos at 300 dpi.

    Args:
        metrics: The content of reports/metrics.json.
        folder: Where the PNGs go. Their bytes depend on the predictions alone.

    Returns:
        The folder.

    Raises:
        PipelineError: There are no predictions.
    """
    videos = {path.stem: read_prediction(path, str(path)) for path in sorted(FOLDER.glob("*.csv"))}
    if not videos:
        raise PipelineError(f"{FOLDER}: no predictions. Run `dvc repro` first.")
    phases = next(iter(videos.values())).phases
    fps = float(metrics["test"]["label_fps"])
    matrix = np.zeros((len(phases), len(phases)), dtype=np.int64)
    for name, video in videos.items():
        scored = video.scored
        ribbon(folder / f"ribbon_{name}.png", scored, fps, phases, name, PAPER_DPI)
        known = scored.labelled
        matrix += confusion(scored.truth[known], scored.prediction[known], len(phases))
    confusion_picture(folder / "confusion.png", matrix, phases, PAPER_DPI)
    phase_bars(folder / "phases.png", metrics["test"]["phase"], phases, PAPER_DPI)
    return folder
