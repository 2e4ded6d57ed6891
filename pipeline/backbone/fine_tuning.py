"""Fine-tuned weights: found in the store, or trained and kept there."""

from dataclasses import dataclass
from pathlib import Path

import torch

from pipeline.backbone import loop, task
from pipeline.backbone.launch import train, validation_logits
from pipeline.backbone.loop import FineTuningEpoch
from pipeline.backbone.stored import LIBRARIES, stored
from pipeline.backbone.task import FineTuning
from pipeline.checkpoint import load_checkpoint, save_checkpoint, tensors_hash
from pipeline.code_identity import code_hash, library_versions
from pipeline.networks.backbones import libraries_of, modules_of
from pipeline.networks.backbones.transform_record import code_of, recorded
from pipeline.result_store import fingerprint
from pipeline.runtime import RuntimeParams
from pipeline.training.history import best_epoch
from pipeline.training.state import StateFile, Tensors

_CLASSIFIER, _LOGITS = "classifier/", "logits/"
_BACKBONE = "backbone."


@dataclass(frozen=True)
class FineTuned:
    """What a training gave.

    Attributes:
        weights: Of the backbone, from the best epoch.
        logits: Of classes (N, C) and tools (N, K) for the validation frames, by those weights.
        history: The curves.
    """

    weights: Tensors
    logits: tuple[torch.Tensor, torch.Tensor]
    history: list[FineTuningEpoch]

    @property
    def best(self) -> FineTuningEpoch:
        """The epoch that the weights are from."""
        return self.history[best_epoch(self.history) - 1]


def fine_tuned(tuning: FineTuning, runtime: RuntimeParams, curves: Path) -> FineTuned:
    """Fine-tune a backbone, or find it where the same training has ended before.

    Args:
        tuning: Weights, frames and parameters.
        runtime: Device, devices, workers; no part of what decides the result.
        curves: Folder in which dvclive shows the curves of a training.

    Raises:
        PipelineError: A frame is damaged, or a loss is not finite.
    """

    def make(path: Path) -> None:
        state = StateFile(path.with_suffix(".state"))
        train(tuning, state.path, runtime, curves)
        best, header = state.best()
        classes, tools = validation_logits(tuning, best, runtime)
        tensors = {f"{_CLASSIFIER}{name}": tensor for name, tensor in best.items()}
        tensors |= {f"{_LOGITS}classes": classes, f"{_LOGITS}tools": tools}
        save_checkpoint(path, tensors, {"history": header["history"]})
        state.remove()

    tensors, header = load_checkpoint(stored(identity(tuning), make))
    trained = _CLASSIFIER + _BACKBONE
    return FineTuned(
        {k.removeprefix(trained): tensor for k, tensor in tensors.items() if k.startswith(trained)},
        (tensors[f"{_LOGITS}classes"], tensors[f"{_LOGITS}tools"]),
        [FineTuningEpoch(**row) for row in header["history"]],
    )


def identity(tuning: FineTuning) -> str:
    """The fingerprint of a training: what decides its weights and curves, and nothing else.

    Names of videos, phases and weights files decide nothing, nor do the tools of validation
    frames, which only the report reads.
    """
    return fingerprint(
        made="fine-tuned",
        backbone=tuning.name,
        weights=tensors_hash(tuning.tensors),
        transform=recorded(tuning.transform),
        params=tuning.params.deciding(),
        seed=tuning.seed,
        training=tuning.training.identity(),
        validation=tuning.validation.without_tools().identity(),
        num_classes=tuning.num_classes,
        num_tools=tuning.num_tools,
        libraries=library_versions(*LIBRARIES, *libraries_of(tuning.name)),
        code=code_hash(loop, task, *modules_of(tuning.name), code_of(tuning.transform)),
    )
