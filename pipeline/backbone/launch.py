"""A fine-tuning on the devices of this machine: one process, or one for each of several GPUs."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch.multiprocessing.spawn import ProcessException

from pipeline.allocator import keep_freed_memory
from pipeline.atomic import write_text
from pipeline.backbone.loop import fine_tune, predict
from pipeline.backbone.params_finetune import Precision
from pipeline.backbone.task import FineTuning
from pipeline.determinism import use_deterministic_kernels
from pipeline.errors import PipelineError
from pipeline.networks.backbones.memory_format import to_channels_last
from pipeline.runtime import RuntimeParams, chosen_gpus
from pipeline.training.reporter import Reporter
from pipeline.training.state import StateFile, Tensors

# Within an epoch, which may take an hour, a line so often.
_SAY_S = 30


def train(task: FineTuning, state: Path, runtime: RuntimeParams, curves: Path) -> None:
    """Train to the end, or go on from the state that an interrupted training left.

    The result is read from the state: fabric waits for its processes before it takes what they
    return, and one that returns more than a pipe holds would never end.

    Args:
        task: Weights, frames and parameters.
        state: File of the state after the last epoch.
        runtime: Device, devices, workers, progress.
        curves: Folder in which dvclive shows the curves meanwhile.

    Raises:
        PipelineError: A frame is damaged, or a loss is not finite; from whichever process.
    """
    processes = max(1, len(chosen_gpus(runtime)))
    fabric = fabric_for(runtime, task.params.precision, processes)
    complaint = state.with_suffix(".error")
    run = partial(
        _train_here,
        task=task,
        state=state,
        runtime=runtime,
        curves=curves,
        complaint=complaint,
    )
    try:
        # Not as arguments: fabric looks for modules in those, and refuses frozen dataclasses.
        fabric.launch(run)
    except ProcessException as error:
        # The process that failed first need not be the one that knows why.
        if complaint.is_file():
            raise PipelineError(complaint.read_text(encoding="utf-8")) from error
        raise
    finally:
        complaint.unlink(missing_ok=True)


def fabric_for(runtime: RuntimeParams, precision: Precision, devices: int) -> Fabric:
    """Device, precision and processes.

    Args:
        runtime: Which GPUs, or the CPU.
        precision: As lightning-fabric spells it.
        devices: Processes, each with a GPU where there are several.
    """
    numbers = chosen_gpus(runtime)[:devices]
    return Fabric(
        accelerator="cuda" if numbers else "cpu",
        # Spawned: the processes then run the training and not the whole stage.
        strategy="ddp_spawn" if devices > 1 else "auto",
        devices=numbers or devices,
        precision=precision,
    )


def validation_logits(
    task: FineTuning, trained: Tensors, runtime: RuntimeParams
) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits of classes (N, C) and tools (N, K) of the validation frames, by one process.

    Args:
        task: What was trained.
        trained: The weights of the classifier.
        runtime: Device and workers.
    """
    if not len(task.validation):
        return torch.zeros(0, task.num_classes), torch.zeros(0, task.num_tools)
    use_deterministic_kernels()
    torch.set_num_threads(runtime.thread_count)
    network = task.build_classifier()
    network.load_state_dict(trained)
    # One process is enough for one pass, and it needs no launch.
    fabric = fabric_for(runtime, task.params.precision, devices=1)
    to_channels_last(network, fabric.device)
    return predict(fabric, network, task.validation, task.params.batch, runtime.worker_count)


def _train_here(
    fabric: Fabric,
    task: FineTuning,
    state: Path,
    runtime: RuntimeParams,
    curves: Path,
    complaint: Path,
) -> None:
    """One process's part of the training; leaves what a user can mend in a file, if it fails."""
    try:
        _train(fabric, task, StateFile(state), runtime, curves)
    except PipelineError as error:
        write_text(complaint, str(error))
        raise


def _train(
    fabric: Fabric,
    task: FineTuning,
    state: StateFile,
    runtime: RuntimeParams,
    curves: Path,
) -> None:
    """The first process shows progress, writes curves and state."""
    keep_freed_memory()
    use_deterministic_kernels()
    # The processes share the cores of this machine.
    torch.set_num_threads(max(1, runtime.thread_count // fabric.world_size))
    workers = max(1, runtime.worker_count // fabric.world_size)
    first = fabric.is_global_zero
    mode = runtime.progress if first else "none"
    with Reporter("backbone", task.params.epochs, mode, curves if first else None) as reporter:
        if mode != "none":
            reporter.say(
                f"backbone: {task.name} on {fabric.world_size} x {fabric.device.type}, "
                f"{len(task.training)} training and {len(task.validation)} validation frames"
            )
        on_step = _ticker(reporter.say) if mode != "none" else lambda *_: None
        fine_tune(fabric, task.build_classifier(), task, state, workers, on_step, reporter)


def _ticker(say: Callable[[str], None]) -> Callable[[int, int, int], None]:
    """Says now and then how far an epoch is."""
    said = time.monotonic()

    def on_step(epoch: int, step: int, steps: int) -> None:
        nonlocal said
        if time.monotonic() - said > _SAY_S and step < steps:
            said = time.monotonic()
            say(f"backbone: epoch {epoch}, step {step}/{steps}")

    return on_step
