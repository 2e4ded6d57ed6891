"""reports/backbone: curves, metrics, predictions of the validation frames, and their confusion."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, precision_recall_fscore_support

from pipeline.atomic import replacing, write_text
from pipeline.backbone.finetune import Epoch, Finetuned
from pipeline.backbone.labelled_frames import LabelledFrames
from pipeline.tables import write_table

matplotlib.use("Agg")
_DPI = 130
_TRAIN, _VAL = "#1f5a94", "#c8601a"


def write_report(
    folder: Path,
    validation: LabelledFrames,
    logits: tuple[torch.Tensor, torch.Tensor],
    phases: tuple[str, ...],
    tools: tuple[str, ...],
    result: Finetuned,
    training_frames: int,
) -> None:
    """Write all files of a fine-tuning but dvclive's.

    Args:
        folder: reports/backbone.
        validation: N frames, all labelled; may be none, then only the curves are written.
        logits: Of the best weights, phases (N, C) and tools (N, K).
        phases: C names.
        tools: K names.
        result: Curves and best epoch.
        training_frames: How many there were.
    """
    write_table(pd.DataFrame([asdict(row) for row in result.history]), folder / "history.csv")
    _curves(folder / "curves.png", result.history, result.best_epoch)
    metrics: dict[str, Any] = {
        "training_frames": training_frames,
        "validation_frames": len(validation),
        "epochs": len(result.history),
        "best_epoch": result.best_epoch,
    }
    if len(validation):
        prediction = logits[0].argmax(dim=1).numpy()
        table = pd.DataFrame(
            {
                "img_id": [validation.name(row) for row in range(len(validation))],
                "true_label": [phases[i] for i in validation.phase],
                "predicted_label": [phases[i] for i in prediction],
            }
        )
        write_table(table, folder / "predictions.csv")
        matrix = np.zeros((len(phases), len(phases)), dtype=np.int64)
        np.add.at(matrix, (validation.phase, prediction), 1)
        _confusion(folder / "confusion.png", matrix, phases)
        metrics["frame"] = frame_metrics(validation.phase, prediction, phases)
        metrics["tools"] = tool_metrics(validation.tools, logits[1].numpy(), tools)
    write_metrics(folder, metrics)


def write_metrics(folder: Path, metrics: dict[str, Any]) -> None:
    """metrics.json: nested scalars, stable order."""
    write_text(folder / "metrics.json", json.dumps(metrics, indent=2, sort_keys=True) + "\n")


def frame_metrics(
    truth: NDArray[np.int64], prediction: NDArray[np.int64], phases: tuple[str, ...]
) -> dict[str, Any]:
    """Accuracy, and precision, recall and F1 of each phase over the frames of all videos pooled.

    `macro_f1` is the mean over the phases that occur in truth or prediction. A phase that is
    never predicted has precision 0, one that never occurs recall 0: their `frames` tell.
    """
    found = sorted(set(truth.tolist()) | set(prediction.tolist()))
    scores = precision_recall_fscore_support(truth, prediction, labels=found, zero_division=0)
    per_phase = {
        phases[number]: {
            "precision": _rounded(scores[0][row]),
            "recall": _rounded(scores[1][row]),
            "f1": _rounded(scores[2][row]),
            "frames": int(scores[3][row]),
        }
        for row, number in enumerate(found)
    }
    return {
        "accuracy": _rounded(np.mean(truth == prediction)),
        "macro_f1": _rounded(np.mean(scores[2])),
        "phase": per_phase,
    }


def tool_metrics(
    truth: NDArray[np.float32], logits: NDArray[np.float32], tools: tuple[str, ...]
) -> dict[str, dict[str, float]]:
    """Average precision of each tool over its labelled frames, where it occurs at all."""
    scores = {}
    for column, tool in enumerate(tools):
        known = ~np.isnan(truth[:, column])
        if truth[known, column].any():
            value = average_precision_score(truth[known, column], logits[known, column])
            scores[tool] = {"average_precision": _rounded(value)}
    return scores


def _curves(path: Path, history: list[Epoch], best_epoch: int) -> None:
    """Loss and macro F1 over the epochs, the kept one marked."""
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    epochs = [row.epoch for row in history]
    left.plot(epochs, [row.train_loss for row in history], color=_TRAIN, label="training")
    if history[0].val_loss is not None:
        left.plot(epochs, [row.val_loss for row in history], color=_VAL, label="validation")
        right.plot(epochs, [row.val_accuracy for row in history], color=_VAL, label="accuracy")
        right.plot(
            epochs,
            [row.val_macro_f1 for row in history],
            color=_VAL,
            linestyle="--",
            label="macro F1",
        )
        right.set_ylim(0, 1)
        right.set_title("validation", loc="left", fontsize=10)
    else:
        right.set_visible(False)
    left.set_title("loss", loc="left", fontsize=10)
    for axes in (left, right):
        axes.axvline(best_epoch, color="#888888", linewidth=1, linestyle=":", label="kept")
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=8)
    _save(figure, path)


def _confusion(path: Path, matrix: NDArray[np.int64], phases: tuple[str, ...]) -> None:
    """Counts, coloured by their share of the true phase."""
    inches = 2.2 + 0.62 * len(phases)
    figure = Figure(figsize=(inches + 0.6, inches), layout="constrained")
    axes = figure.subplots()
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for true, predicted in np.ndindex(matrix.shape):
        if matrix[true, predicted]:
            colour = "white" if share[true, predicted] > 0.55 else "#222222"
            count = str(matrix[true, predicted])
            axes.text(predicted, true, count, ha="center", va="center", fontsize=8, color=colour)
    axes.set_xticks(range(len(phases)), phases, rotation=40, ha="right", fontsize=8)
    axes.set_yticks(range(len(phases)), phases, fontsize=8)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.set_title("validation frames", loc="left", fontsize=10)
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    with replacing(path) as partial:
        figure.savefig(partial, dpi=_DPI, format="png", metadata={"Software": None})


def _rounded(value: float) -> float:
    return round(float(value), 6)
