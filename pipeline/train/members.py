"""One training of the temporal network: what decides it, found in the store or made."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import pandas as pd
import torch

from pipeline.checkpoint import load_checkpoint, save_checkpoint, tensors_hash
from pipeline.code_identity import code_hash, library_versions
from pipeline.networks.temporal import KINDS
from pipeline.networks.temporal.contract import TemporalModule
from pipeline.paths import recurrent_of
from pipeline.result_store import Store, fingerprint
from pipeline.runtime import RuntimeParams, gpus
from pipeline.sequences import Sequence as Video
from pipeline.settings import Section
from pipeline.train import loop
from pipeline.train.end_to_end import begin_from_backbone
from pipeline.train.loop import Trained, initial_network, train
from pipeline.train.params import TrainParams
from pipeline.train.videos import Videos
from pipeline.training.history import Epoch
from pipeline.training.reporter import Reporter
from pipeline.training.state import StateFile, Tensors


@dataclass(frozen=True)
class Member:
    """Which of several trainings it is.

    Attributes:
        fold: Whose training videos it sees, from 1; None where splits.csv is a single split.
        seed: Of everything random in the training.
    """

    fold: int | None
    seed: int

    def __str__(self) -> str:
        """Such as `fold 2, seed 1`."""
        return f"seed {self.seed}" if self.fold is None else f"fold {self.fold}, seed {self.seed}"

    @property
    def folder(self) -> str:
        """Such as fold_2_seed_1."""
        return str(self).replace(", ", "_").replace(" ", "_")


@dataclass(frozen=True)
class Training:
    """All that decides the weights of one training.

    Attributes:
        kind: Of the network.
        model: The numbers of that kind.
        params: The section `train`.
        seed: Of everything random.
        videos: To learn from and to choose by, and what is asked of them.
    """

    kind: str
    model: Section
    params: TrainParams
    seed: int
    videos: Videos

    @cached_property
    def network(self) -> TemporalModule:
        """With initial weights, and those of the last epoch after a training."""
        kind, asked, training = KINDS[self.kind], self.videos.asked, self.videos.training
        built = asked.kind(kind) if asked else kind
        outputs = asked.num_outputs if asked else len(self.videos.classes)
        network = initial_network(built, self.model, outputs, training, self.seed)
        if self.params.end_to_end:
            path = recurrent_of(self.videos.fold)
            begin_from_backbone(network, self.kind, self.model, training[0].weights_hash, path)
        return network

    @property
    def deciding(self) -> dict[str, Any]:
        """The keys of the section `train` that decide the weights."""
        asked = self.videos.asked
        return asked.deciding_of(self.params) if asked else self.params.deciding()

    @property
    def fingerprint(self) -> str:
        """Of all that decides the weights. Names of videos do not.

        Initial weights follow from the seed, but for those that come from the backbone stage.
        """
        end_to_end, asked = self.params.end_to_end, self.videos.asked
        initial = {"initial": tensors_hash(self.network.state_dict())} if end_to_end else {}
        code = (loop, cast(ModuleType, KINDS[self.kind]))
        # Trainings over phases are named as they always were.
        task = {"task": asked.deciding()} if asked else {}
        return fingerprint(
            kind=self.kind,
            model=self.model.model_dump(),
            train=self.deciding | initial,
            seed=self.seed,
            training=[_identity(video) for video in self.videos.learnt],
            validation=[_identity(video) for video in self.videos.judged],
            num_classes=len(self.videos.classes),
            code=code_hash(*code, *asked.code) if asked else code_hash(*code),
            versions=library_versions("torch"),
            **task,
        )


def trained(
    task: Training, runtime: RuntimeParams, curves: Path, name: str = "train"
) -> tuple[Trained, bool]:
    """The weights of a training: from the store, or trained now, from where a killed run was.

    Args:
        task: What decides them.
        runtime: Where and how to train.
        curves: Folder of dvclive's curves.
        name: What the lines of its progress begin with.

    Returns:
        The result, and whether the store knew it.

    Raises:
        PipelineError: A loss is not finite.
    """
    found_as, store = task.fingerprint, Store("train", "safetensors")
    phases = task.network.training_phases
    epochs = sum(task.params.of_phase(phase).epochs for phase in phases)
    with store.claimed(found_as) as missing:
        found = not missing
        with Reporter(name, epochs, "none" if found else runtime.progress, curves) as report:
            if found:
                return _read(store.used(found_as), report), True
            state = StateFile(store.path(found_as).with_suffix(".state"))
            device = torch.device("cuda" if gpus(runtime) else "cpu")
            asked = task.videos.asked
            result = train(
                task.network,
                task.videos.learnt,
                task.videos.judged,
                task.params,
                task.seed,
                device,
                state,
                (lambda row: report(asked.meaningful(row))) if asked else report,
                asked.loss(task.params, device) if asked else None,
            )
            if asked:
                rows = [asked.meaningful(row) for row in result.history]
                result = replace(result, history=rows)
            _keep(store.path(found_as), result)
            state.remove()
    return result, False


def history_of(results: Mapping[Member, Trained]) -> pd.DataFrame:
    """All curves, a row per epoch; with columns fold and seed in front where there are several."""
    rows: list[dict[str, Any]] = []
    for member, result in results.items():
        which = asdict(member) if len(results) > 1 else {}
        rows += [which | asdict(row) for row in result.history]
    return pd.DataFrame(rows)


def tensors_of(results: Mapping[Member, Trained]) -> Tensors:
    """The weights of all, named as an Ensemble of them names its own."""
    return {
        f"members.{number}.{name}": tensor
        for number, result in enumerate(results.values())
        for name, tensor in result.weights.items()
    }


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
