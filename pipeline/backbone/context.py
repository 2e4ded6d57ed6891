"""A backbone that was fine-tuned with context: found in the store, or trained and kept there."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import torch

from pipeline.allocator import keep_freed_memory
from pipeline.backbone import context_loop
from pipeline.backbone.context_loop import ContextTuning
from pipeline.backbone.context_network import LAYERS
from pipeline.backbone.fine_tuning import FineTuned
from pipeline.backbone.loop import FineTuningEpoch
from pipeline.backbone.params_finetune import ContextParams
from pipeline.backbone.stored import LIBRARIES, stored
from pipeline.checkpoint import load_checkpoint, save_checkpoint, tensors_hash
from pipeline.code_identity import code_hash, library_versions
from pipeline.determinism import use_deterministic_kernels
from pipeline.errors import PipelineError
from pipeline.networks.backbones import libraries_of, modules_of
from pipeline.networks.backbones.transform_record import code_of, recorded
from pipeline.result_store import fingerprint
from pipeline.runtime import RuntimeParams, gpus
from pipeline.training.reporter import Reporter
from pipeline.training.state import StateFile, Tensors

_CLASSIFIER, _LOGITS = "classifier/", "logits"
_BACKBONE, _RECURRENT = "backbone.", "recurrent."


def samples_between(context: ContextParams, fps: str) -> int:
    """Samples from one frame of the context to the next.

    Args:
        context: The section `backbone.finetune.context`.
        fps: Samples per second as data/frames/recipe.json has them, such as 2 or 1/5.

    Raises:
        PipelineError: The frames are not stored at these times.
    """
    if context.stride_s is None:
        return 1
    every = Fraction(str(context.stride_s)) * Fraction(fps)
    if every.denominator != 1:
        raise PipelineError(
            f"params.yaml: backbone.finetune.context.stride_s: found {context.stride_s:g}, but "
            f"there are {fps} frames a second (frames.fps). Allowed: multiples of "
            f"{float(1 / Fraction(fps)):g}."
        )
    return int(every)


def fine_tuned_in_context(
    task: ContextTuning, runtime: RuntimeParams, curves: Path
) -> tuple[FineTuned, Tensors]:
    """Fine-tune a backbone with an RNN behind it, or find it where the same training has ended.

    Args:
        task: Weights, frames and parameters.
        runtime: Device and workers; no part of what decides the result.
        curves: Folder in which dvclive shows the curves of a training.

    Returns:
        The backbone with the logits of the labelled validation frames, and the weights of the RNN.

    Raises:
        PipelineError: A frame is damaged, or a loss is not finite.
    """

    def make(path: Path) -> None:
        state = StateFile(path.with_suffix(".state"))
        _train(task, state, runtime, curves)
        best, header = state.best()
        network = task.build()
        network.load_state_dict(best)
        device = _device(runtime)
        logits = context_loop.predict(network.to(device), task, device, runtime.worker_count)
        tensors = {f"{_CLASSIFIER}{name}": tensor for name, tensor in best.items()}
        tensors[_LOGITS] = logits[torch.from_numpy(task.validation.labels >= 0)]
        save_checkpoint(path, tensors, {"history": header["history"]})
        state.remove()

    tensors, header = load_checkpoint(stored(identity(task), make))
    history = [FineTuningEpoch(**row) for row in header["history"]]
    logits = (tensors[_LOGITS], tensors[_LOGITS][:, :0])
    return (
        FineTuned(_below(_CLASSIFIER + _BACKBONE, tensors), logits, history),
        _below(_CLASSIFIER + _RECURRENT, tensors),
    )


def identity(task: ContextTuning) -> str:
    """The fingerprint of a training: what decides its weights and curves, and nothing else."""
    return fingerprint(
        made="fine-tuned in context",
        backbone=task.name,
        weights=tensors_hash(task.tensors),
        transform=recorded(task.transform),
        params=task.params.deciding(),
        every=task.every,
        seed=task.seed,
        training=task.training.identity(),
        validation=task.validation.identity(),
        num_classes=task.num_classes,
        libraries=library_versions(*LIBRARIES, *libraries_of(task.name)),
        code=code_hash(context_loop, *modules_of(task.name), code_of(task.transform)),
    )


def recurrent_header(task: ContextTuning, weights_hash: str) -> dict[str, Any]:
    """What the train stage has to know of an RNN to go on with it.

    Args:
        task: That it was trained in.
        weights_hash: Of the backbone whose features it reads.
    """
    context = task.params.context
    assert context is not None
    return {
        "rnn": context.rnn,
        "hidden": context.hidden,
        "layers": LAYERS,
        "num_classes": task.num_classes,
        "weights_hash": weights_hash,
    }


def _train(task: ContextTuning, state: StateFile, runtime: RuntimeParams, curves: Path) -> None:
    keep_freed_memory()
    use_deterministic_kernels()
    torch.set_num_threads(runtime.thread_count)
    device = _device(runtime)
    with Reporter("backbone", task.params.epochs, runtime.progress, curves) as reporter:
        if runtime.progress != "none":
            reporter.say(
                f"backbone: {task.name} with context on {device.type}, {len(task.training)} "
                f"training and {len(task.validation)} validation frames"
            )
        context_loop.fine_tune(task.build(), task, state, device, runtime.worker_count, reporter)


def _device(runtime: RuntimeParams) -> torch.device:
    return torch.device("cuda" if gpus(runtime) else "cpu")


def _below(prefix: str, tensors: Tensors) -> Tensors:
    return {k.removeprefix(prefix): tensor for k, tensor in tensors.items() if k.startswith(prefix)}
