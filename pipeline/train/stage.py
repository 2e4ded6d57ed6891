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
from pipeline.networks.temporal.params import (
    check_tracks,
    check_window,
    has_refinements,
    read_model,
)
from pipeline.paths import FEATURES, TEMPORAL, TRAIN_REPORT, features_of
from pipeline.postprocess.params import read_postprocess
from pipeline.runtime import gpus, read_runtime
from pipeline.seen import features_seen
from pipeline.settings import read_section, read_value
from pipeline.tables import read_folds, write_table
from pipeline.task import read_task
from pipeline.train.elsewhere import Recipe, train_elsewhere
from pipeline.train.header import header_of, header_of_all
from pipeline.train.loop import Trained
from pipeline.train.members import Member, Training, history_of, tensors_of, trained
from pipeline.train.params import TrainParams
from pipeline.train.postfit import Fold, check_postprocess, fitted
from pipeline.train.seen_videos import videos_seen
from pipeline.train.task_rules import check_training
from pipeline.train.videos import read_videos


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
    task = read_task()
    check_training(task, params)
    check_window(kind, model, params.window)
    check_tracks(kind, model, task.tracks)
    refined = has_refinements(kind, model)
    runtime = read_runtime()
    keep_freed_memory()
    torch.set_num_threads(runtime.thread_count)
    use_deterministic_kernels()
    device = torch.device("cuda" if gpus(runtime) else "cpu")
    seed, folds = read_value("seed", int), read_folds()
    seeds = params.seeds or [seed]
    alone = len(folds) * len(seeds) == 1
    made: set[Member] = set()
    if runtime.executor != "local" and not alone:
        # What is wrong with params.yaml is said before hours of training, as in a local run.
        videos = read_videos(task, params, folds[0], folds, refined)
        check_postprocess(postprocess, videos.training, videos.validation)
        _check_phases(Training(kind, model, params, seeds[0], videos))
        recipe = Recipe(kind, model, params, task, tuple(folds), curves, runtime)
        made = train_elsewhere([Member(f, s) for f in folds for s in seeds], recipe)
    results: dict[Member, Trained] = {}
    headers: dict[Member, dict[str, Any]] = {}
    found: list[bool] = []
    trained_folds: list[Fold] = []
    for fold in folds:
        videos = read_videos(task, params, fold, folds, refined)
        check_postprocess(postprocess, videos.training, videos.validation)
        networks: list[TemporalModule] = []
        for member in (Member(fold, seed) for seed in seeds):
            training = Training(kind, model, params, member.seed, videos)
            _check_phases(training)
            folder = curves if alone else curves / member.folder
            results[member], was_there = trained(
                training, runtime, folder, "train" if alone else f"train {member}:"
            )
            headers[member] = header_of(training, results[member])
            found.append(was_there and member not in made)
            training.network.load_state_dict(results[member].weights)
            # One from the store has been nowhere but on the processor.
            networks.append(training.network.to(device))
        network = networks[0] if len(networks) == 1 else Ensemble(networks)
        trained_folds.append(Fold(fold, network, videos.training, videos.validation))
    besides = fitted(postprocess, trained_folds)
    if seen := videos_seen({v.video for own in trained_folds for v in own.training}):
        besides["videos_seen"] = seen
    # What each fold's own backbone saw is not to be compared with another's.
    if all(features_of(fold) == FEATURES for fold in folds):
        # Folds share videos: each counts once.
        learnt = {video.video: video.features for own in trained_folds for video in own.training}
        besides["seen"] = features_seen(learnt.values())
    write_table(history_of(results), curves / "history.csv")
    if alone:
        (result,), (header,) = results.values(), headers.values()
        save_checkpoint(weights, result.weights, header | besides)
    else:
        save_checkpoint(weights, tensors_of(results), header_of_all(headers, seed) | besides)
    return f"{weights}: {kind}, {_summary(list(results.values()))}{_from_store(found)}"


def _summary(results: list[Trained]) -> str:
    best = [result.history[result.best_epoch - 1].val_macro_f1 for result in results]
    known = [value for value in best if value is not None]
    losses = [result.history[result.best_epoch - 1].val_loss for result in results]
    figure = "no validation"
    if known:
        figure = f"val macro F1 {fmean(known):.3f}"
    elif None not in losses:
        figure = f"val loss {fmean(loss for loss in losses if loss is not None):.4f}"
    if len(results) > 1:
        return f"{len(results)} members, {'' if figure == 'no validation' else 'mean '}{figure}"
    return f"epoch {results[0].best_epoch}/{len(results[0].history)}, {figure}"


def _from_store(found: list[bool]) -> str:
    if not any(found):
        return ""
    return ", from the store" if all(found) else f", {sum(found)} from the store"


def _check_phases(training: Training) -> None:
    for name in training.params.phases:
        if name not in training.network.training_phases:
            raise PipelineError(
                f"params.yaml: train.phases: found {name}, but model.kind: {training.kind} is "
                f"trained in {', '.join(training.network.training_phases)}."
            )
