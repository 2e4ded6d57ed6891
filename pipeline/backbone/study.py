"""Fine-tuning from start to reports/backbone: data, device, training, figures."""

import time
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import lightning_fabric
import numpy as np
import torch
from dvclive.live import Live
from torch.multiprocessing.spawn import ProcessException

from pipeline.allocator import keep_freed_memory
from pipeline.atomic import write_text
from pipeline.backbone import augment, classifier, finetune, loader, shared_norm, strategy
from pipeline.backbone.classifier import FrameClassifier
from pipeline.backbone.finetune import Epoch, Finetuned, predict
from pipeline.backbone.labelled_frames import LabelledFrames, read_frames
from pipeline.backbone.params_finetune import FinetuneParams
from pipeline.backbone.preconditions import check
from pipeline.backbone.report import write_report
from pipeline.backbone.weights import Tensors
from pipeline.code_identity import code_hash
from pipeline.errors import PipelineError
from pipeline.networks.backbones import cnn
from pipeline.networks.backbones.transform import Transform
from pipeline.progress import Progress
from pipeline.result_store import fingerprint, store_root
from pipeline.runtime import RuntimeParams, gpus
from pipeline.seeding import derived_seed, seed_everything
from pipeline.tables import read_phases, read_tools
from pipeline.training import class_weights, frame_loss
from pipeline.training import state as training_state
from pipeline.training.state import read_best

# Within an epoch, which may take an hour, a line so often.
_SAY_S = 30


@dataclass(frozen=True)
class Job:
    """All that a process needs to train; it may be another one than that of the stage."""

    name: str
    transform: Transform
    tensors: Tensors
    training: LabelledFrames
    validation: LabelledFrames
    phases: tuple[str, ...]
    tools: tuple[str, ...]
    params: FinetuneParams
    seed: int
    state: Path
    runtime: RuntimeParams
    curves: Path


def study(
    name: str,
    transform: Transform,
    tensors: Tensors,
    weights_hash: str,
    params: FinetuneParams,
    seed: int,
    runtime: RuntimeParams,
    reports: Path,
) -> tuple[Tensors, dict[str, Any], Path]:
    """Fine-tune the CNN on the training videos; test videos are not read.

    Args:
        name: Architecture.
        transform: What the network sees of a frame, at the crop of training.
        tensors: The initial weights.
        weights_hash: Of them, for the name of the state.
        params: The section `backbone.finetune`.
        seed: Of everything random.
        runtime: Device, devices, workers.
        reports: Gets curves, metrics, predictions and figures.

    Returns:
        The CNN's weights of the best epoch, facts for their header, and the file with the state of
        the training, to be removed when they are kept elsewhere.

    Raises:
        PipelineError: No labelled frames, no validation videos, not this machine's precision, a
            damaged frame, or a loss that is not finite.
    """
    training, validation = read_frames(("train",)).labelled(), read_frames(("val",)).labelled()
    accelerator = "cuda" if gpus(runtime) else "cpu"
    check(training, validation, params, runtime)
    phases = read_phases()
    tools = tuple(c for c in read_tools().columns if c not in ("video", "time_s"))
    state = fingerprint(
        name=name,
        transform=asdict(transform),
        weights=weights_hash,
        params=params.model_dump(),
        seed=seed,
        devices=runtime.devices,
        data=[_identity(training), _identity(validation)],
        phases=phases,
        code=code_hash(
            augment,
            classifier,
            finetune,
            loader,
            frame_loss,
            shared_norm,
            strategy,
            cnn,
            class_weights,
            training_state,
        ),
    )
    job = Job(
        name,
        transform,
        tensors,
        training,
        validation,
        phases,
        tools if params.tools else (),
        params,
        seed,
        store_root() / "backbone" / f"{state}.safetensors",
        runtime,
        reports,
    )
    torch.set_num_threads(runtime.thread_count)
    fabric = lightning_fabric.Fabric(
        accelerator=accelerator,
        # Spawned: the processes then run the training and not the whole stage.
        strategy="ddp_spawn" if runtime.devices > 1 else "auto",
        devices=runtime.devices,
        precision=params.precision,
    )
    try:
        # Not as an argument: fabric looks for modules in those, and refuses frozen dataclasses.
        fabric.launch(partial(train_job, job=job))
    except ProcessException as error:
        # The process that failed first need not be the one that knows why.
        if _complaint(job).is_file():
            raise PipelineError(_complaint(job).read_text(encoding="utf-8")) from error
        raise
    finally:
        _complaint(job).unlink(missing_ok=True)
    # From the state of the last epoch: fabric waits for its processes before it takes what they
    # return, and a process that returns more than a pipe holds never ends.
    best_weights, header = read_best(job.state)
    rows = [Epoch(**row) for row in header["history"]]
    result = Finetuned(best_weights, header["best_epoch"], rows)

    network = _network(job)
    network.load_state_dict(result.weights)
    best = result.history[result.best_epoch - 1]
    if len(validation):
        # One process is enough for one pass, and it needs no launch.
        alone = lightning_fabric.Fabric(
            accelerator=accelerator, devices=1, precision=params.precision
        )
        network.to(alone.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        logits = predict(alone, network, validation, params.batch, runtime.worker_count)
    else:
        logits = torch.zeros(0, len(phases)), torch.zeros(0, len(job.tools))
    write_report(reports, validation, logits, phases, job.tools, result, len(training))
    facts = {
        "strategy": params.strategy,
        "training_frames": len(training),
        "training_videos": len(training.containers),
        "epochs": len(result.history),
        "best_epoch": result.best_epoch,
        "val_macro_f1": best.val_macro_f1,
        "crop_px": job.transform.crop_px,
        "devices": runtime.devices,
        "params": params.model_dump(),
    }
    trained = {
        key.removeprefix("cnn."): tensor
        for key, tensor in result.weights.items()
        if key.startswith("cnn.")
    }
    return trained, facts, job.state


def train_job(fabric: lightning_fabric.Fabric, job: Job) -> None:
    """One process's part of the training; leaves what a user can mend in a file, if it fails."""
    try:
        _train(fabric, job)
    except PipelineError as error:
        write_text(_complaint(job), str(error))
        raise


def _complaint(job: Job) -> Path:
    """Where a process says what stopped it, since torch hands on no more than a traceback."""
    return job.state.with_suffix(".error")


def _train(fabric: lightning_fabric.Fabric, job: Job) -> None:
    """The first process shows progress, writes curves and state."""
    keep_freed_memory()
    torch.set_num_threads(max(1, job.runtime.thread_count // _here(fabric)))
    torch.use_deterministic_algorithms(True, warn_only=True)
    workers = max(1, job.runtime.worker_count // _here(fabric))
    network = _network(job)
    mode = job.runtime.progress if fabric.is_global_zero else "none"
    with Progress("backbone", job.params.epochs, mode) as progress:
        live = None
        if fabric.is_global_zero:
            progress.say(
                f"backbone: {job.name} on {fabric.world_size} x {fabric.device.type}, "
                f"{len(job.training)} training and {len(job.validation)} validation frames"
            )
            live = Live(str(job.curves), dvcyaml=None, save_dvc_exp=False, report=None)
        said = time.monotonic()

        def on_step(epoch: int, step: int, steps: int) -> None:
            nonlocal said
            if fabric.is_global_zero and time.monotonic() - said > _SAY_S and step < steps:
                said = time.monotonic()
                if mode != "none":
                    progress.say(f"backbone: epoch {epoch}, step {step}/{steps}")

        def on_epoch(row: Epoch) -> None:
            if live is not None:
                _log(live, row)
            note = f"loss {row.train_loss:.4f}"
            if row.val_macro_f1 is not None:
                note += f"  val loss {row.val_loss:.4f}  val macro F1 {row.val_macro_f1:.3f}"
            progress.step(f"epoch {row.epoch}", note)

        finetune.finetune(
            fabric,
            network,
            job.training,
            job.validation,
            job.params,
            job.seed,
            job.state,
            workers,
            on_step,
            on_epoch,
        )
        if live is not None:
            live.end()  # type: ignore[no-untyped-call]


def _network(job: Job) -> FrameClassifier:
    seed_everything(derived_seed(job.seed, "head"))
    network = FrameClassifier(
        job.name,
        job.transform,
        len(job.phases),
        len(job.tools),
        job.params.head,
        job.params.checkpointing,
    )
    network.cnn.load_state_dict(job.tensors)
    return network


def _identity(frames: LabelledFrames) -> list[object]:
    """What training takes of these frames: images, phases and tools."""
    return [
        [path.stem for path in frames.containers],
        list(frames.fingerprints),
        *(array.tolist() for array in (frames.video, frames.sample, frames.phase)),
        np.nan_to_num(frames.tools, nan=-1).tolist(),
    ]


def _here(fabric: lightning_fabric.Fabric) -> int:
    """Processes that share this machine's cores."""
    return max(1, fabric.world_size)


def _log(live: Live, row: Epoch) -> None:
    for name, value in vars(row).items():
        if name != "epoch" and value is not None:
            live.log_metric(name, value)
    live.next_step()  # type: ignore[no-untyped-call]
