"""Tables that `dvc plots` draws and compares between experiments (dvc.yaml names the templates)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.metrics.calibration import Reliability
from pipeline.metrics.frame import SCORES
from pipeline.scored_video import ScoredVideo
from pipeline.segments import segments
from pipeline.tables import write_table


def write_confusion(path: Path, videos: Sequence[ScoredVideo], classes: Sequence[str]) -> None:
    """One row per labelled frame, `actual, predicted`: DVC's confusion templates count them."""
    names = np.array(classes)
    truth = np.concatenate([v.truth[v.labelled] for v in videos])
    predicted = np.concatenate([v.prediction[v.labelled] for v in videos])
    write_table(pd.DataFrame({"actual": names[truth], "predicted": names[predicted]}), path)


def write_phase_scores(path: Path, scores: Mapping[str, Any], classes: Sequence[str]) -> None:
    """`phase, precision, recall, jaccard, f1`, from the group `phase` of a split."""
    rows = [{"phase": name} | {s: scores[name][s] for s in SCORES} for name in classes]
    write_table(pd.DataFrame(rows, columns=["phase", *SCORES]).fillna(np.nan), path)


def write_reliability(path: Path, bins: Reliability) -> None:
    """`confidence, accuracy, frames` of the bins (BINS,) that hold a frame."""
    there = bins.count > 0
    table = pd.DataFrame(
        {
            "confidence": bins.confidence[there] / bins.count[there],
            "accuracy": bins.right[there] / bins.count[there],
            "frames": bins.count[there].astype(np.int64),
        }
    )
    write_table(table, path)


def write_ribbons(
    path: Path, videos: Mapping[str, ScoredVideo], fps: float, classes: Sequence[str]
) -> None:
    """`video, row, start_min, end_min, phase`: runs for the template phase_ribbon.

    A phase has its number in front, so that the legend's order is that of the classes.
    """
    digits = len(str(len(classes)))
    names = [f"{i:0{digits}d} {name}" for i, name in enumerate(classes, start=1)]
    rows = []
    for name, video in videos.items():
        for row, labels in (("truth", video.truth), ("prediction", video.prediction)):
            runs = segments(labels).without(-1)
            for label, start, end in zip(runs.label, runs.start, runs.end, strict=True):
                rows.append((name, row, start / fps / 60, end / fps / 60, names[label]))
    columns = ["video", "row", "start_min", "end_min", "phase"]
    write_table(pd.DataFrame(rows, columns=columns), path)
