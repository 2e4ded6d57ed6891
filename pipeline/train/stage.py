"""The train stage: features and labels to models/temporal.safetensors and reports/train."""

from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from pipeline.allocator import keep_freed_memory
from pipeline.checkpoint import save_checkpoint
from pipeline.determinism import use_deterministic_kernels
from pipeline.errors import PipelineError
from pipeline.networks.temporal.contract import TemporalModule
from pipeline.networks.temporal.ensemble import Ensemble
from pipeline.networks.temporal.params import check_window, read_model
from pipeline.paths import TEMPORAL, TRAIN_REPORT
from pipeline.postprocess.params import read_postprocess
from pipeline.runtime import read_runtime
from pipeline.sequences import Sequence as Video
from pipeline.sequences import read_split
from pipeline.settings import read_section, read_value
from pipeline.tables import read_folds, read_phases, write_table
from pipeline.train.header import header_of, header_of_all
from pipeline.train.loop import Trained
from pipeline.train.members import Member, Training, history_of, tensors_of, trained
from pipeline.train.params import TrainParams
from pipeline.train.postfit import Fold, check_postprocess, fitted


def run(weights: Path = TEMPORAL, curves: Path = TRAIN_REPORT) -> str:
    """Train on the training videos, choose by the validation videos; test videos are not read.

    One training for each fold of splits.csv and each of train.seeds; all lie in one file. A
    training of the same kind, parameters, data and code that has ended before is taken from the
    store.

    Returns:
        One line for the terminal.

    Raises:
        PipelineError: No features, no training or validation videos, features of other parameters,
            or a loss that is not finite.
    """
    kind, model = read_model()
    params = read_section(TrainParams, "train")
    postprocess = read_postprocess()
    check_window(kind, model, params.window)
    runtime = read_runtime()
    classes = read_phases()
    keep_freed_memory()
    torch.set_num_threads(runtime.thread_count)
    use_deterministic_kernels()
    seed, folds = read_value("seed", int), read_folds()
    seeds = params.seeds or [seed]
    alone = len(folds) * len(seeds) == 1
    results: dict[Member, Trained] = {}
    headers: dict[Member, dict[str, Any]] = {}
    found: list[bool] = []
    trained_folds: list[Fold] = []
    for fold in folds:
        training, validation = _read_videos(params, fold)
        check_postprocess(postprocess, training, validation)
        networks: list[TemporalModule] = []
        for member in (Member(fold, seed) for seed in seeds):
            task = Training(kind, model, params, member.seed, training, validation, len(classes))
            _check_phases(task)
            folder = curves if alone else curves / member.folder
            results[member], was_there = trained(
                task, runtime, folder, "train" if alone else f"train {member}:"
            )
            headers[member] = header_of(task, classes, results[member])
            found.append(was_there)
            task.network.load_state_dict(results[member].weights)
            networks.append(task.network)
        network = networks[0] if len(networks) == 1 else Ensemble(networks)
        trained_folds.append(Fold(fold, network, training, validation))
    fit = fitted(postprocess, trained_folds)
    write_table(history_of(results), curves / "history.csv")
    if alone:
        (result,), (header,) = results.values(), headers.values()
        save_checkpoint(weights, result.weights, header | fit)
    else:
        save_checkpoint(weights, tensors_of(results), header_of_all(headers, seed) | fit)
    return f"{weights}: {kind}, {_summary(list(results.values()))}{_from_store(found)}"


def _summary(results: list[Trained]) -> str:
    best = [result.history[result.best_epoch - 1].val_macro_f1 for result in results]
    known = [value for value in best if value is not None]
    figure = f"val macro F1 {fmean(known):.3f}" if known else "no validation"
    if len(results) > 1:
        return f"{len(results)} members, {'mean ' if known else ''}{figure}"
    return f"epoch {results[0].best_epoch}/{len(results[0].history)}, {figure}"


def _from_store(found: list[bool]) -> str:
    if not any(found):
        return ""
    return ", from the store" if all(found) else f", {sum(found)} from the store"


def _read_videos(params: TrainParams, fold: int | None) -> tuple[list[Video], list[Video]]:
    """Training videos, and validation videos with labels."""
    training = read_split("train", fold=fold)
    validation = [v for v in read_split("val", fold=fold) if (v.labels >= 0).any()]
    where = "" if fold is None else f"fold {fold}: "
    if not training:
        raise PipelineError(f"data/index/splits.csv: {where}no readable video in train.")
    if not any((video.labels >= 0).any() for video in training):
        raise PipelineError(
            f"data/index/labels.csv: {where}no frame of the training videos is labelled."
        )
    if not validation and params.early_stop:
        raise PipelineError(
            f"data/index/splits.csv: {where}no readable video in val has a label, but "
            f"train.early_stop is {params.early_stop}. Give val a video (split in params.yaml), or "
            "set train.early_stop: 0, which trains all epochs and keeps the last weights."
        )
    return training, validation


def _check_phases(task: Training) -> None:
    for name in task.params.phases:
        if name not in task.network.training_phases:
            raise PipelineError(
                f"params.yaml: train.phases: found {name}, but model.kind: {task.kind} is trained "
                f"in {', '.join(task.network.training_phases)}."
            )
