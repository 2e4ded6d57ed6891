"""Tables that `dvc plots` draws and compares between experiments (dvc.yaml names the templates)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.metrics.calibration import Reliability
from pipeline.metrics.frame import SCORES
from pipeline.metrics.measure import ScoredVideo
from pipeline.segments import segments
from pipeline.tables import write_table


def write_confusion(path: Path, videos: Sequence[ScoredVideo], phases: Sequence[str]) -> None:
    """One row per labelled frame, `actual, predicted`: DVC's confusion templates count them."""
    names = np.array(phases)
    truth = np.concatenate([v.truth[v.labelled] for v in videos])
    predicted = np.concatenate([v.prediction[v.labelled] for v in videos])
    write_table(pd.DataFrame({"actual": names[truth], "predicted": names[predicted]}), path)


def write_phase_scores(path: Path, metrics: Mapping[str, Any], phases: Sequence[str]) -> None:
    """`phase, precision, recall, jaccard, f1`, of the pooled frames of a split."""
    rows = [{"phase": phase} | {s: metrics["phase"][phase][s] for s in SCORES} for phase in phases]
    write_table(pd.DataFrame(rows, columns=["phase", *SCORES]).fillna(np.nan), path)


def write_reliability(path: Path, bins: Reliability) -> None:
    """`confidence, accuracy, frames` of the bins (BINS,) that hold a frame."""
    there = bins.frames > 0
    table = pd.DataFrame(
        {
            "confidence": bins.confidence[there] / bins.frames[there],
            "accuracy": bins.right[there] / bins.frames[there],
            "frames": bins.frames[there].astype(np.int64),
        }
    )
    write_table(table, path)


def write_ribbons(
    path: Path, videos: Mapping[str, ScoredVideo], fps: float, phases: Sequence[str]
) -> None:
    """`video, row, start_min, end_min, phase`: runs for the template phase_ribbon.

    A phase has its number in front, so that the legend's order is that of the classes.
    """
    digits = len(str(len(phases)))
    names = [f"{i:0{digits}d} {phase}" for i, phase in enumerate(phases, start=1)]
    rows = []
    for name, video in videos.items():
        for row, labels in (("truth", video.truth), ("prediction", video.prediction)):
            runs = segments(labels).without(-1)
            for label, start, end in zip(runs.label, runs.start, runs.end, strict=True):
                rows.append((name, row, start / fps / 60, end / fps / 60, names[label]))
    columns = ["video", "row", "start_min", "end_min", "phase"]
    write_table(pd.DataFrame(rows, columns=columns), path)
