"""The train stage: features and labels to models/temporal.safetensors and reports/train."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import numpy as np
import pandas as pd
import torch

from pipeline.checkpoint import load_checkpoint, save_checkpoint
from pipeline.code_identity import code_hash, library_versions
from pipeline.determinism import use_deterministic_kernels
from pipeline.errors import PipelineError
from pipeline.networks.temporal import KINDS
from pipeline.networks.temporal.contract import TemporalModule
from pipeline.networks.temporal.params import check_window, read_model
from pipeline.paths import TEMPORAL, TRAIN_REPORT
from pipeline.result_store import Store, fingerprint
from pipeline.runtime import gpus, read_runtime
from pipeline.seen import features_seen
from pipeline.sequences import Sequence as Video
from pipeline.sequences import read_split
from pipeline.settings import Section, read_section, read_value
from pipeline.tables import read_phases, write_table
from pipeline.train import loop
from pipeline.train.loop import Trained, initial_network, train
from pipeline.train.params import TrainParams
from pipeline.training.history import Epoch
from pipeline.training.reporter import Reporter
from pipeline.training.state import StateFile


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
    seed = read_value("seed", int)
    training = read_split("train")
    validation = [video for video in read_split("val") if (video.labels >= 0).any()]
    classes = read_phases()
    _check(training, validation, params)

    torch.set_num_threads(runtime.thread_count)
    use_deterministic_kernels()
    network = initial_network(KINDS[kind], model, len(classes), training, seed)
    _check_phases(kind, network, params)
    name = _fingerprint(kind, model, params, seed, training, validation, classes)
    store = Store("train", "safetensors")
    epochs = sum(params.of_phase(phase).epochs for phase in network.training_phases)
    with store.claimed(name):
        found = store.has(name)
        with Reporter("train", epochs, "none" if found else runtime.progress, curves) as report:
            if found:
                trained = _read(store.used(name), report)
            else:
                state = StateFile(store.path(name).with_suffix(".state"))
                device = torch.device("cuda" if gpus(runtime) else "cpu")
                trained = train(network, training, validation, params, seed, device, state, report)
                _keep(store.path(name), trained)
                state.remove()
    write_table(pd.DataFrame([asdict(row) for row in trained.history]), curves / "history.csv")
    header = _header(kind, model, params, seed, network, training, classes, trained)
    save_checkpoint(weights, trained.weights, header)
    best = trained.history[trained.best_epoch - 1]
    figure = (
        "no validation" if best.val_macro_f1 is None else f"val macro F1 {best.val_macro_f1:.3f}"
    )
    kept = ", from the store" if found else ""
    return f"{weights}: {kind}, epoch {trained.best_epoch}/{len(trained.history)}, {figure}{kept}"


def _check(training: list[Video], validation: list[Video], params: TrainParams) -> None:
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


def _check_phases(kind: str, network: TemporalModule, params: TrainParams) -> None:
    for name in params.phases:
        if name not in network.training_phases:
            raise PipelineError(
                f"params.yaml: train.phases: found {name}, but model.kind: {kind} is trained in "
                f"{', '.join(network.training_phases)}."
            )


def _fingerprint(
    kind: str,
    model: Section,
    params: TrainParams,
    seed: int,
    training: list[Video],
    validation: list[Video],
    classes: tuple[str, ...],
) -> str:
    """Of all that decides the weights. Names of videos do not."""
    return fingerprint(
        kind=kind,
        model=model.model_dump(),
        train=params.deciding(),
        seed=seed,
        training=[_identity(video) for video in training],
        validation=[_identity(video) for video in validation],
        num_classes=len(classes),
        code=code_hash(loop, cast(ModuleType, KINDS[kind])),
        versions=library_versions("torch"),
    )


def _identity(video: Video) -> list[str]:
    """What training takes of a video: its features and its labels."""
    return [video.fingerprint, hashlib.sha256(video.labels.tobytes()).hexdigest()]


def _keep(path: Path, trained: Trained) -> None:
    rows = [asdict(row) for row in trained.history]
    header = {"history": rows, "best_epoch": trained.best_epoch}
    save_checkpoint(path, trained.weights, header)


def _read(path: Path, on_epoch: Callable[[Epoch], None]) -> Trained:
    tensors, header = load_checkpoint(path)
    trained = Trained(tensors, header["best_epoch"], [Epoch(**row) for row in header["history"]])
    for row in trained.history:
        on_epoch(row)
    return trained


def _header(
    kind: str,
    model: Section,
    params: TrainParams,
    seed: int,
    network: TemporalModule,
    training: Sequence[Video],
    classes: tuple[str, ...],
    trained: Trained,
) -> dict[str, Any]:
    """All that leads from a raw video to predictions, and how the weights came about."""
    first = training[0]
    seen = {int(label) for video in training for label in np.unique(video.labels)}
    return {
        # The groups of parameters behind the features: frames, features, backbone.
        **first.recipe,
        "kind": kind,
        "model": model.model_dump(),
        "dim": network.dim,
        "classes": list(classes),
        "classes_seen": [name for number, name in enumerate(classes) if number in seen],
        "seen": features_seen(video.features for video in training),
        "causal": network.causal,
        "receptive_field": network.receptive_field,
        "weights_hash": first.weights_hash,
        "fps": first.fps,
        "seed": seed,
        "train": params.deciding(),
        "epochs": len(trained.history),
        "best_epoch": trained.best_epoch,
    }
