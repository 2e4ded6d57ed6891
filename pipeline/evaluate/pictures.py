"""The pictures of reports/plots, beside the tables that `dvc plots` draws."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.drawing.bars import score_bars
from pipeline.drawing.confidence import reliability_picture, roc_picture
from pipeline.drawing.confusion import confusion_picture
from pipeline.drawing.curves import training_picture
from pipeline.drawing.member_curves import member_curves_picture
from pipeline.drawing.ribbon import ribbon_picture
from pipeline.evaluate.plots import (
    write_confusion,
    write_phase_scores,
    write_reliability,
    write_ribbons,
)
from pipeline.metrics.calibration import reliability
from pipeline.metrics.frame import confusion
from pipeline.scored_video import ScoredVideo, pooled


def write_plots(
    folder: Path,
    scored: Mapping[str, Mapping[str, ScoredVideo]],
    details: Mapping[str, Any],
    classes: Sequence[str],
    fps: float,
) -> None:
    """Write the tables and pictures of each split, and those of the test videos.

    Args:
        folder: reports/plots.
        scored: Videos by name, by split.
        details: Metrics by split, as in reports/details.json.
        classes: Names in class order.
        fps: Frames per second of the predictions.
    """
    for split, videos in scored.items():
        truth, prediction, probabilities = pooled(videos)
        matrix = confusion(truth, prediction, len(classes))
        write_confusion(folder / f"confusion_{split}.csv", list(videos.values()), classes)
        confusion_picture(folder / f"confusion_{split}.png", matrix, classes)
        write_phase_scores(folder / f"phases_{split}.csv", details[split]["phase"], classes)
        write_reliability(folder / f"reliability_{split}.csv", reliability(truth, probabilities))
    test, scores = scored["test"], details["test"]["phase"]
    write_ribbons(folder / "ribbons_test.csv", test, fps, classes)
    for name, video in test.items():
        ribbon_picture(folder / "ribbons" / f"{name}.png", video, fps, classes, name)
    score_bars(folder / "phases_test.png", scores, classes)
    truth, _, probabilities = pooled(test)
    reliability_picture(folder / "reliability_test.png", reliability(truth, probabilities))
    areas = [scores[name]["roc_auc"] for name in classes]
    roc_picture(folder / "roc_test.png", truth, probabilities, classes, areas)


def write_training_picture(folder: Path, rows: Path, temporal: Mapping[str, Any]) -> None:
    """Write the curves of the training, or trainings, that made the model.

    Args:
        folder: reports/plots.
        rows: reports/train/history.csv.
        temporal: Header of models/temporal.safetensors.
    """
    history = pd.read_csv(rows)
    if "members" in temporal:
        best = [member["best_epoch"] for member in temporal["members"]]
        member_curves_picture(folder / "training.png", history, best)
    else:
        training_picture(folder / "training.png", history, temporal["best_epoch"])
