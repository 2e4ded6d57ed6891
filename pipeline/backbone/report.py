"""reports/backbone: curves, metrics, predictions of the validation frames, and their confusion."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from pipeline.backbone.fine_tuning import FineTuned
from pipeline.backbone.labelled_frames import LabelledFrames
from pipeline.backbone.metrics_file import write_metrics
from pipeline.drawing.confusion import confusion_picture
from pipeline.drawing.curves import training_picture
from pipeline.metrics.frame import confusion, nan_mean, scores
from pipeline.tables import write_table
from pipeline.training.history import rounded
from pipeline.training.reporter import Reporter

_COLUMNS = (
    *("epoch", "lr", "trained_children"),
    *("train_loss", "val_loss", "val_accuracy", "val_macro_f1"),
)


def write_report(
    folder: Path,
    result: FineTuned,
    validation: LabelledFrames,
    num_training: int,
    classes: tuple[str, ...],
    tools: tuple[str, ...],
) -> None:
    """Write everything about a fine-tuning; the same result gives the same bytes.

    Args:
        folder: reports/backbone.
        result: Curves and validation logits.
        validation: N frames, all labelled; may be none, then only the curves are written.
        num_training: Training frames.
        classes: C names.
        tools: K names; none where they were not learnt.
    """
    # First, because dvclive empties the folder.
    with Reporter("backbone", len(result.history), "none", folder) as curves:
        for row in result.history:
            curves(row)
    history = pd.DataFrame([asdict(row) for row in result.history], columns=_COLUMNS)
    write_table(history, folder / "history.csv")
    training_picture(folder / "curves.png", history, result.best.epoch)
    metrics: dict[str, Any] = {
        "training_frames": num_training,
        "validation_frames": len(validation),
        "epochs": len(result.history),
        "best_epoch": result.best.epoch,
    }
    if len(validation):
        class_logits, tool_logits = (logits.numpy() for logits in result.logits)
        prediction = class_logits.argmax(axis=1)
        _write_predictions(folder / "predictions.csv", validation, prediction, classes)
        matrix = confusion(validation.labels, prediction, len(classes))
        confusion_picture(folder / "confusion.png", matrix, classes)
        metrics["frame"] = frame_metrics(matrix, classes)
        metrics["tools"] = tool_metrics(validation.tools, tool_logits, tools)
    write_metrics(folder, metrics)


def frame_metrics(matrix: NDArray[np.int64], classes: tuple[str, ...]) -> dict[str, Any]:
    """Accuracy, and precision, recall and F1 of each phase over the frames of all videos pooled.

    `macro_f1` is the mean over the phases that occur in truth or prediction; the others are left
    out. A phase that is never predicted has precision 0, one that never occurs recall 0: their
    `frames` tell.

    Args:
        matrix: (C, C) frames by true (rows) and predicted class (columns).
        classes: C names.
    """
    found = scores(matrix)
    num_frames = matrix.sum(axis=1)
    per_phase = {
        name: {
            "precision": rounded(float(np.nan_to_num(found.precision[number]))),
            "recall": rounded(float(np.nan_to_num(found.recall[number]))),
            "f1": rounded(float(found.f1[number])),
            "frames": int(num_frames[number]),
        }
        for number, name in enumerate(classes)
        if not np.isnan(found.f1[number])
    }
    return {
        "accuracy": rounded(float(np.trace(matrix) / matrix.sum())),
        "macro_f1": rounded(float(nan_mean(found.f1, 0))),
        "phase": per_phase,
    }


def tool_metrics(
    truth: NDArray[np.float32], logits: NDArray[np.float32], tools: tuple[str, ...]
) -> dict[str, dict[str, float]]:
    """Average precision of each tool over its labelled frames, where it occurs at all."""
    found = {}
    for column, tool in enumerate(tools):
        known = ~np.isnan(truth[:, column])
        if truth[known, column].any():
            value = average_precision_score(truth[known, column], logits[known, column])
            found[tool] = {"average_precision": rounded(float(value))}
    return found


def _write_predictions(
    path: Path,
    frames: LabelledFrames,
    prediction: NDArray[np.int64],
    classes: tuple[str, ...],
) -> None:
    table = pd.DataFrame(
        {
            "img_id": [frames.name(row) for row in range(len(frames))],
            "true_label": [classes[i] for i in frames.labels],
            "predicted_label": [classes[i] for i in prediction],
        }
    )
    write_table(table, path)
