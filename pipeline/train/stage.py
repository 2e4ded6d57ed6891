"""The train stage: features and labels to models/temporal.safetensors and reports/train."""

from dataclasses import asdict
from pathlib import Path

import pandas as pd
import torch

from pipeline.checkpoint import save_checkpoint
from pipeline.determinism import use_deterministic_kernels
from pipeline.errors import PipelineError
from pipeline.networks.temporal.params import check_window, read_model
from pipeline.paths import TEMPORAL, TRAIN_REPORT
from pipeline.runtime import read_runtime
from pipeline.sequences import Sequence as Video
from pipeline.sequences import read_split
from pipeline.settings import read_section, read_value
from pipeline.tables import read_phases, write_table
from pipeline.train.header import header_of
from pipeline.train.loop import Trained
from pipeline.train.members import Training, trained
from pipeline.train.params import TrainParams


def run(weights: Path = TEMPORAL, curves: Path = TRAIN_REPORT) -> str:
    """Train on the training videos, choose by the validation videos; test videos are not read.

    A training of the same kind, parameters, data and code that has ended before is taken from the
    store.

    Returns:
        One line for the terminal.

    Raises:
        PipelineError: No features, no training or validation videos, features of other parameters,
            or a loss that is not finite.
    """
    kind, model = read_model()
    params = read_section(TrainParams, "train")
    check_window(kind, model, params.window)
    runtime = read_runtime()
    classes = read_phases()
    training, validation = _read_videos(params)
    torch.set_num_threads(runtime.thread_count)
    use_deterministic_kernels()
    seed = read_value("seed", int)
    task = Training(kind, model, params, seed, training, validation, len(classes))
    _check_phases(task)
    result, found = trained(task, runtime, curves)
    write_table(pd.DataFrame([asdict(row) for row in result.history]), curves / "history.csv")
    save_checkpoint(weights, result.weights, header_of(task, classes, result))
    kept = ", from the store" if found else ""
    return f"{weights}: {kind}, {_summary(result)}{kept}"


def _summary(result: Trained) -> str:
    best = result.history[result.best_epoch - 1]
    figure = (
        "no validation" if best.val_macro_f1 is None else f"val macro F1 {best.val_macro_f1:.3f}"
    )
    return f"epoch {result.best_epoch}/{len(result.history)}, {figure}"


def _read_videos(params: TrainParams) -> tuple[list[Video], list[Video]]:
    """Training videos, and validation videos with labels."""
    training = read_split("train")
    validation = [video for video in read_split("val") if (video.labels >= 0).any()]
    if not training:
        raise PipelineError("data/index/splits.csv: no readable video in train.")
    if not any((video.labels >= 0).any() for video in training):
        raise PipelineError("data/index/labels.csv: no frame of the training videos is labelled.")
    if not validation and params.early_stop:
        raise PipelineError(
            f"data/index/splits.csv: no readable video in val has a label, but train.early_stop is "
            f"{params.early_stop}. Give val a video (split in params.yaml), or set "
            "train.early_stop: 0, which trains all epochs and keeps the last weights."
        )
    return training, validation


def _check_phases(task: Training) -> None:
    for name in task.params.phases:
        if name not in task.network.training_phases:
            raise PipelineError(
                f"params.yaml: train.phases: found {name}, but model.kind: {task.kind} is trained "
                f"in {', '.join(task.network.training_phases)}."
            )
