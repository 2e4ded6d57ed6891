"""The commands: a pruned network, or a student, into a file that backbone.weights can name."""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pipeline.backbone.stored import LIBRARIES
from pipeline.backbone.weights import initial_weights
from pipeline.checkpoint import save_checkpoint, tensors_hash
from pipeline.code_identity import code_hash, library_versions
from pipeline.compress import channels, logits, matching
from pipeline.compress.examples import (
    Examples,
    Teacher,
    crop_of_features,
    read_compared,
    read_examples,
    read_teacher,
)
from pipeline.compress.logits import read_logits
from pipeline.compress.matching import Learner, Learning, closeness, learn
from pipeline.determinism import use_deterministic_kernels
from pipeline.errors import PipelineError
from pipeline.networks.backbones import build_backbone, libraries_of, modules_of, reads_clips
from pipeline.networks.backbones.contract import Tensors
from pipeline.networks.backbones.crop import check_crop
from pipeline.networks.backbones.memory_format import to_channels_last
from pipeline.networks.backbones.pruned import (
    LEAST_PERCENT,
    MOST_PERCENT,
    PRUNABLE,
    pruned_name,
)
from pipeline.networks.backbones.transform import Transform
from pipeline.networks.backbones.transform_record import recorded
from pipeline.networks.temporal.standardise import Standardise
from pipeline.progress import Progress
from pipeline.result_store import fingerprint, store_root
from pipeline.runtime import gpus, read_runtime
from pipeline.seeding import derived_seed, seed_everything
from pipeline.settings import read_value
from pipeline.training.state import StateFile, copied

RECOVERY_LR = 1e-4
STUDENT_LR = 1e-3


@dataclass(frozen=True)
class _Small:
    """A small network before it learns.

    Attributes:
        way: pruned or distilled.
        name: As build_backbone takes it.
        tensors: Its weights.
        transform: What it sees of a frame; recorded in its file.
        source: Where its weights come from, for the header.
    """

    way: str
    name: str
    tensors: Tensors
    transform: Transform
    source: dict[str, Any]


def prune(ratio: float, epochs: int, output: Path) -> str:
    """Remove channels of the project's backbone, let it recover, and write it.

    Args:
        ratio: Share of the channels inside each residual block that goes.
        epochs: In which it learns its own earlier features of the training frames; may be 0.
        output: A .safetensors file.

    Returns:
        One line for the terminal.

    Raises:
        PipelineError: The backbone cannot be pruned, the ratio cannot be had, or frames or
            features are missing.
    """
    percent = _percent(ratio)
    _check(epochs, 0, output)
    teacher = read_teacher()
    if teacher.name not in PRUNABLE:
        raise PipelineError(
            f"backbone.name: found {teacher.name}, which cannot be pruned. Allowed for compress "
            f"prune: {', '.join(PRUNABLE)}; compress distil takes every network of images."
        )
    tensors = channels.without_channels(teacher.name, percent, teacher.tensors)
    name = pruned_name(teacher.name, percent)
    small = _Small("pruned", name, tensors, teacher.transform, {"ratio": percent / 100})
    return _made(small, teacher, Learning(epochs, RECOVERY_LR, _seed()), output)


def distil(student: str, epochs: int, output: Path) -> str:
    """Teach a small network the cached features of the project's backbone, and write it.

    Args:
        student: A backbone's name, or name=weights with weights as backbone.weights takes them;
            without them it begins with random ones.
        epochs: At least 1.
        output: A .safetensors file.

    Returns:
        One line for the terminal.

    Raises:
        PipelineError: There is no such network of images or no such weights, or frames or
            features are missing.
    """
    name, _, weights = student.partition("=")
    _check_student(name)
    _check(epochs, 1, output)
    teacher = read_teacher()
    initial = initial_weights(name, weights or "random", _seed())
    transform = seen_by_student(teacher.transform, initial.transform)
    small = _Small("distilled", name, initial.tensors, transform, {"student": initial.source})
    return _made(small, teacher, Learning(epochs, STUDENT_LR, _seed()), output)


def seen_by_student(teacher: Transform, own: Transform) -> Transform:
    """The part of a frame that the teacher sees, at the smaller side, in the student's colours.

    Features belong to what the teacher saw: a student that sees more or less of a frame would be
    asked for what is not in its image.
    """
    view = teacher.cropped(min(teacher.crop_px, own.crop_px))
    return replace(view, mean=own.mean, std=own.std, channels=own.channels)


def _made(small: _Small, teacher: Teacher, how: Learning, output: Path) -> str:
    runtime = read_runtime()
    torch.set_num_threads(runtime.thread_count)
    use_deterministic_kernels()
    device = torch.device("cuda" if gpus(runtime) else "cpu")
    examples, compared = read_examples(teacher), read_compared(teacher)
    wanted = None if small.way == "pruned" else read_logits(examples, teacher, device)
    classes = 0 if wanted is None else wanted[0].shape[1]
    learner = _learner(small, examples, classes, how.seed)
    to_channels_last(learner, device)
    workers = runtime.worker_count
    cosine: dict[str, float] = {}
    if compared is not None and small.way == "pruned":
        cosine["before"] = closeness(learner, compared, workers, device)
    state = StateFile(
        store_root() / "compress" / f"{_identity(small, examples, how, wanted)}.state"
    )
    with Progress("compress", how.epochs, runtime.progress) as progress:
        progress.say(
            f"compress: {small.name}, {len(examples)} frames of training videos, on {device}, "
            + ("features alone" if wanted is None else "features and the temporal model's logits")
        )
        losses = learn(
            learner,
            examples,
            wanted,
            how,
            state,
            workers,
            device,
            lambda epoch, loss: progress.step(f"epoch {epoch}", f"loss {loss:.4f}"),
        )
    if compared is not None:
        cosine["after"] = closeness(learner, compared, workers, device)
    tensors = {
        key.removeprefix("network."): tensor
        for key, tensor in copied(learner).items()
        if key.startswith("network.")
    }
    save_checkpoint(output, tensors, _header(small, teacher, tensors, how, losses, cosine))
    state.remove()
    return f"{output}: {small.name}, {small.way} from {teacher.name}{_told(losses, cosine)}"


def _learner(small: _Small, examples: Examples, classes: int, seed: int) -> Learner:
    seed_everything(derived_seed(seed, "compress"))
    backbone = build_backbone(small.name)
    backbone.network.load_state_dict(small.tensors)
    transform = small.transform.cropped(crop_of_features())
    teacher = Standardise(examples.dim)
    teacher.fit(*examples.mean_and_std())
    pruned = small.way == "pruned"
    to_features = None if pruned else nn.Linear(backbone.dim, examples.dim)
    return Learner(backbone, transform, teacher, to_features, classes, keeps_statistics=pruned)


def _identity(small: _Small, examples: Examples, how: Learning, wanted: Any) -> str:
    """Names the state of a training: what decides it, and nothing else."""
    return fingerprint(
        made=small.way,
        network=small.name,
        weights=tensors_hash(small.tensors),
        transform=recorded(small.transform),
        features=examples.fingerprints,
        logits=wanted is not None
        and tensors_hash({str(k): torch.from_numpy(v) for k, v in enumerate(wanted)}),
        how=[how.epochs, how.lr, how.seed],
        libraries=library_versions(*LIBRARIES, *libraries_of(small.name)),
        code=code_hash(matching, logits, *modules_of(small.name)),
    )


def _header(
    small: _Small,
    teacher: Teacher,
    tensors: Tensors,
    how: Learning,
    losses: list[float],
    cosine: dict[str, float],
) -> dict[str, Any]:
    with torch.device("meta"):
        dim = build_backbone(small.name).dim
    return {
        "name": small.name,
        "dim": dim,
        "transform": recorded(small.transform),
        "mode": small.way,
        "tensors_hash": tensors_hash(tensors),
        "seed": how.seed,
        "compress": {
            **small.source,
            "teacher": teacher.header | {"tensors_hash": teacher.weights_hash},
            "epochs": how.epochs,
            "losses": losses,
            "cosine": cosine,
        },
    }


def _told(losses: list[float], cosine: dict[str, float]) -> str:
    found = f", loss {losses[0]:.4f} to {losses[-1]:.4f}" if losses else ""
    if cosine:
        steps = " to ".join(f"{value:.3f}" for value in cosine.values())
        found += f", cosine with its features on validation frames {steps}"
    return found


def _percent(ratio: float) -> int:
    percent = round(100 * ratio) if math.isfinite(ratio) else 0
    if not LEAST_PERCENT <= percent <= MOST_PERCENT or abs(100 * ratio - percent) > 1e-6:
        raise PipelineError(
            f"--ratio: found {ratio:g}. Allowed: {LEAST_PERCENT / 100} to {MOST_PERCENT / 100}, "
            "in steps of 0.01: the share of channels that goes."
        )
    return percent


def _check(epochs: int, least: int, output: Path) -> None:
    if epochs < least:
        raise PipelineError(f"--epochs: found {epochs}. Allowed: {least} or more.")
    if output.suffix != ".safetensors":
        raise PipelineError(f"--out: found {output}. Allowed: a file that ends in .safetensors.")


def _check_student(name: str) -> None:
    try:
        clips = "@" in name or "+" in name or reads_clips(name)
    except ValueError as error:
        raise PipelineError(f"--student: {error}.") from None
    if clips:
        raise PipelineError(
            f"--student: found {name!r}. Allowed: one network that reads single images, such as "
            "mobilenet_v3_small, resnet18 or efficientnet_b0."
        )
    with torch.device("meta"):
        backbone = build_backbone(name)
    if not any(True for _ in backbone.network.parameters()):
        raise PipelineError(f"--student: found {name!r}, which has no weights to train.")
    crop_px = crop_of_features()
    if crop_px is not None:
        check_crop(backbone, crop_px, "features.crop")


def _seed() -> int:
    return int(read_value("seed", int))
