"""The train stage: features and labels to models/temporal.safetensors and reports/train."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import lightning_fabric
import numpy as np
import pandas as pd
import torch
from dvclive.live import Live

from pipeline.checkpoint import save_checkpoint
from pipeline.code_identity import code_hash
from pipeline.errors import PipelineError
from pipeline.networks.temporal import TemporalNetwork, build_temporal, rnn, standardise, tecno
from pipeline.paths import TEMPORAL, TRAIN_REPORT
from pipeline.progress import Progress
from pipeline.result_store import fingerprint, store_root
from pipeline.runtime import RuntimeParams, gpus, read_runtime
from pipeline.seeding import derived_seed, seed_everything
from pipeline.sequences import Sequence, read_split
from pipeline.settings import read_section, read_value
from pipeline.tables import read_phases, write_table
from pipeline.train import loop
from pipeline.train.loop import Epoch, train
from pipeline.train.params import ModelParams, TrainParams
from pipeline.training import class_weights, sequence_loss
from pipeline.training import state as training_state


def run(weights: Path = TEMPORAL, curves: Path = TRAIN_REPORT) -> str:
    """Train on the training videos, choose by the validation videos; test videos are not read.

    Returns:
        One line for the terminal.

    Raises:
        PipelineError: No features, no training or validation videos, features of other parameters.
    """
    model = read_section(ModelParams, "model")
    params = read_section(TrainParams, "train")
    runtime = read_runtime()
    seed = read_value("seed", int)
    training, validation = read_split("train"), read_split("val")
    phases = read_phases()
    _check(training, validation, params)
    numbers = model.numbers(training[0].features.shape[1], len(phases))

    seed_everything(derived_seed(seed, "network"))
    network = build_temporal(model.kind, numbers)
    fit_standardise(network, training)
    fabric = _fabric(runtime, params)
    name = fingerprint(
        model=model.model_dump(),
        train=params.model_dump(),
        seed=seed,
        data=[_identity(sequence) for sequence in (*training, *validation)],
        splits=[len(training), len(validation)],
        phases=phases,
        code=code_hash(loop, sequence_loss, class_weights, training_state, rnn, tecno, standardise),
    )
    state = store_root() / "train" / f"{name}.safetensors"
    with (
        Progress("train", params.epochs, runtime.progress) as progress,
        Live(str(curves), dvcyaml=None, save_dvc_exp=False, report=None) as live,
    ):
        trained = train(
            network,
            training,
            validation,
            params,
            seed,
            fabric,
            state,
            _reporter(live, progress),
        )
    write_table(pd.DataFrame([asdict(row) for row in trained.history]), curves / "history.csv")
    header = {
        "kind": model.kind,
        "numbers": numbers,
        "phases": list(phases),
        "causal": bool(network.causal),
        "weights_hash": training[0].weights_hash,
        "fps": training[0].fps,
        "seed": seed,
        "train": params.model_dump(),
        "epochs": len(trained.history),
        "best_epoch": trained.best_epoch,
        "phases_seen": _seen(training, phases),
    }
    save_checkpoint(weights, trained.weights, header)
    state.unlink(missing_ok=True)
    best = trained.history[trained.best_epoch - 1]
    figure = (
        "no validation" if best.val_macro_f1 is None else f"val macro F1 {best.val_macro_f1:.3f}"
    )
    return f"{weights}: {model.kind}, epoch {trained.best_epoch}/{len(trained.history)}, {figure}"


def fit_standardise(network: TemporalNetwork, training: list[Sequence]) -> None:
    """Set the network's input statistics from all frames of the training videos."""
    total = sum(len(sequence.features) for sequence in training)
    mean = sum(s.features.sum(axis=0, dtype=np.float64) for s in training) / total
    square = sum(((s.features.astype(np.float64) - mean) ** 2).sum(axis=0) for s in training)
    network.standardise.fit(
        torch.tensor(mean).float(), torch.tensor(np.sqrt(square / total)).float()
    )


def _check(training: list[Sequence], validation: list[Sequence], params: TrainParams) -> None:
    if not training:
        raise PipelineError("data/index/splits.csv: no readable video in train.")
    if not any((sequence.labels >= 0).any() for sequence in training):
        raise PipelineError("data/index/labels.csv: no frame of the training videos is labelled.")
    if not validation and params.early_stop:
        raise PipelineError(
            f"data/index/splits.csv: no readable video in val, but train.early_stop is "
            f"{params.early_stop}. Give val a video (split in params.yaml), or set "
            "train.early_stop: 0, which trains all epochs and keeps the last weights."
        )


def _fabric(runtime: RuntimeParams, params: TrainParams) -> lightning_fabric.Fabric:
    torch.set_num_threads(runtime.thread_count)
    torch.use_deterministic_algorithms(True, warn_only=True)
    accelerator = "cuda" if gpus(runtime) else "cpu"
    return lightning_fabric.Fabric(accelerator=accelerator, devices=1, precision=params.precision)


def _reporter(live: Live, progress: Progress) -> Callable[[Epoch], None]:
    def report(row: Epoch) -> None:
        for name, value in asdict(row).items():
            if name != "epoch" and value is not None:
                live.log_metric(name, value)
        live.next_step()  # type: ignore[no-untyped-call]
        note = f"loss {row.train_loss:.4f}"
        if row.val_macro_f1 is not None:
            note += f"  val loss {row.val_loss:.4f}  val macro F1 {row.val_macro_f1:.3f}"
        progress.step(f"epoch {row.epoch}", note)

    return report


def _identity(sequence: Sequence) -> list[str]:
    """What training takes of a video: its features and its labels."""
    labels = ",".join(map(str, sequence.labels.tolist()))
    return [sequence.video, sequence.fingerprint, labels]


def _seen(training: list[Sequence], phases: tuple[str, ...]) -> list[str]:
    numbers = {int(label) for sequence in training for label in np.unique(sequence.labels)}
    return [phase for i, phase in enumerate(phases) if i in numbers]
