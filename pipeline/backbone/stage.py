"""The backbone stage: the CNN, trained where asked, to models/backbone.safetensors."""

import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import torchvision

from pipeline.atomic import write_text
from pipeline.backbone.adabn import adapt, mixed_batches, spread
from pipeline.backbone.labelled_frames import LabelledFrames, read_frames
from pipeline.backbone.params import BackboneParams
from pipeline.backbone.params_finetune import AdabnParams
from pipeline.backbone.weights import (
    Tensors,
    file_transform,
    file_weights,
    random_weights,
    torchvision_weights,
)
from pipeline.checkpoint import save_checkpoint
from pipeline.errors import PipelineError
from pipeline.networks.backbones.cnn import build_cnn, feature_size, transform_of
from pipeline.networks.backbones.transform import Transform
from pipeline.paths import BACKBONE, BACKBONE_REPORT
from pipeline.progress import Progress
from pipeline.result_store import file_hash
from pipeline.runtime import RuntimeParams, gpus, read_runtime
from pipeline.seeding import derived_seed
from pipeline.settings import read_section, read_value
from pipeline.tables import SPLITS


def run(output: Path = BACKBONE, reports: Path = BACKBONE_REPORT) -> str:
    """Read, fetch or draw the weights, train or adapt them, and write them with their history.

    Returns:
        One line for the terminal.

    Raises:
        PipelineError: No such weights, or they belong to another architecture; or there is
            nothing to train or adapt them with.
    """
    params = read_section(BackboneParams, "backbone")
    tensors, transform, source = _initial(params)
    header: dict[str, Any] = {
        "name": params.name,
        "feature_size": feature_size(params.name),
        "mode": params.mode,
        "transform": asdict(transform),
    } | source
    done = ""
    state: Path | None = None
    # Before hours of training: these frames may be what is missing.
    others = _frames_to_adapt_to(params) if params.adapts else None
    reports.mkdir(parents=True, exist_ok=True)
    if params.finetunes:
        from pipeline.backbone.study import study

        seed = read_value("seed", int)
        tensors, facts, state = study(
            params.name,
            transform.cropped(params.crop),
            tensors,
            _hash(tensors),
            params.finetune,
            derived_seed(seed, "finetune"),
            read_runtime(),
            reports,
        )
        header |= {"finetune": facts, "seed": seed}
        done += f", fine-tuned on {facts['training_frames']} frames, epoch {facts['best_epoch']}"
    else:
        # The folder is an output of the stage in every mode.
        write_text(reports / "metrics.json", '{\n  "training_frames": 0\n}\n')
    if others is not None:
        scaled = transform.cropped(params.crop)
        tensors, about = _adapted(params, tensors, scaled, others, read_runtime())
        header["adabn"] = about
        done += f", batch norm of {about['frames']} frames of {about['split']}"
    save_checkpoint(output, tensors, header)
    if state is not None:
        state.unlink()
    return f"{output}: {params.name}, weights {header['weights']}{done}, {header['feature_size']}-d"


def _initial(params: BackboneParams) -> tuple[Tensors, Transform, dict[str, Any]]:
    """The weights to begin with, their transform, and where they come from."""
    # Foreign files and random weights bring no transform: that of torchvision's first weights for
    # the architecture, which is also what most published training code uses.
    first = next(iter(torchvision.models.get_model_weights(params.name)))
    transform = transform_of(first.transforms())
    path = Path(params.weights)
    if params.weights == "random":
        seed = read_value("seed", int)
        tensors = random_weights(params.name, derived_seed(seed, "backbone"))
        return tensors, transform, {"weights": "random", "seed": seed}
    if path.suffix in (".pth", ".pt", ".safetensors"):
        tensors = file_weights(params.name, path)
        transform = file_transform(params.name, path) or transform
        # The name without its folder: paths differ from machine to machine, the hash does not.
        return tensors, transform, {"weights": path.name, "weights_sha256": file_hash(path)}
    tensors, transform = torchvision_weights(params.name, params.weights)
    return tensors, transform, {"weights": params.weights}


def _frames_to_adapt_to(params: BackboneParams) -> LabelledFrames:
    settings: AdabnParams = params.adabn
    splits = SPLITS if settings.split == "all" else (settings.split,)
    frames = spread(read_frames(splits, labels=False), settings.frames_per_video)
    if len(frames) < 2:
        raise PipelineError(
            f"params.yaml: backbone.adabn.split: found {settings.split}, which has {len(frames)} "
            "frames in data/index/splits.csv; at least two are needed."
        )
    return frames


def _adapted(
    params: BackboneParams,
    tensors: Tensors,
    transform: Transform,
    frames: LabelledFrames,
    runtime: RuntimeParams,
) -> tuple[Tensors, dict[str, Any]]:
    """The weights with batch-norm statistics of other videos, and facts for the header."""
    settings: AdabnParams = params.adabn
    torch.set_num_threads(runtime.thread_count)
    network = build_cnn(params.name)
    network.load_state_dict(tensors)
    batches = len(mixed_batches(frames, settings.batch))
    with Progress("adabn", batches, runtime.progress) as progress:
        adapt(
            network,
            frames,
            transform,
            settings.batch,
            torch.device("cuda" if gpus(runtime) else "cpu"),
            runtime.worker_count,
            progress,
        )
    about = {
        "split": settings.split,
        "videos": [path.stem for path in frames.containers],
        "frames": len(frames),
    }
    return dict(network.state_dict()), about


def _hash(tensors: Tensors) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
