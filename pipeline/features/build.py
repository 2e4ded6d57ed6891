"""From pinned weights to what writes feature files, in the wanted precision, on a device."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from pipeline.allocator import keep_freed_memory
from pipeline.backbone_parts import separated
from pipeline.checkpoint import load_checkpoint
from pipeline.clips import Clips
from pipeline.determinism import use_deterministic_kernels
from pipeline.errors import PipelineError
from pipeline.features import jpeg
from pipeline.features.compiled import compiled
from pipeline.features.encode import CPU_BATCH, Encoder, batches
from pipeline.features.encode_clips import clips_per_batch
from pipeline.features.params import FeaturesParams
from pipeline.features.precision import in_bf16, in_fp32
from pipeline.features.quantisation_frames import FRAMES_PER_VIDEO, evenly_spaced
from pipeline.features.quantise import engine, quantise
from pipeline.features.scales import Scales, quantised_by
from pipeline.features.video import FileWriter
from pipeline.fold_backbones import backbone_of_fold
from pipeline.frame_store import FrameFile
from pipeline.networks.backbones import build_backbone
from pipeline.networks.backbones.contract import Backbone
from pipeline.networks.backbones.memory_format import to_channels_last
from pipeline.networks.backbones.transform import Transform
from pipeline.networks.backbones.transform_record import read_transform
from pipeline.runtime import RuntimeParams

Say = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """All that a process needs to build its encoder; can be sent to another process.

    Attributes:
        backbone: The pinned weights.
        params: Precision, crop and type on disk.
        runtime: Threads, batch on a GPU, compilation.
        quantisation: Containers whose frames decide the scales of int8; empty in other precisions.
        scales: Those of int8, where they are known already; no container is then read.
        attributes: Written into every file.
        clips: Which frames make a sample's clip; None where a sample is one frame.
        part: Which of the networks side by side, from 0; of a single one, 0.
        fold: Whose backbone, where each fold has its own.
    """

    backbone: Path
    params: FeaturesParams
    runtime: RuntimeParams
    quantisation: Sequence[Path]
    attributes: dict[str, Any]
    clips: Clips | None = None
    part: int = 0
    fold: int | None = None
    scales: Scales | None = None


def build_writer(
    plan: Plan, device: torch.device, pool: ThreadPoolExecutor, say: Say
) -> FileWriter:
    """The backbone, ready on a device.

    Args:
        plan: What to build.
        device: Where it runs.
        pool: Threads that prepare the images that int8 takes its scales from.
        say: Takes lines for the terminal.

    Raises:
        PipelineError: The device has too little memory left, or int8 cannot be done.
    """
    keep_freed_memory()
    torch.set_num_threads(plan.runtime.thread_count)
    use_deterministic_kernels()
    whole = backbone_of_fold(*load_checkpoint(plan.backbone), plan.fold)
    tensors, header = separated(*whole)[plan.part]
    backbone = build_backbone(header["name"])
    backbone.network.load_state_dict(tensors)
    transform = read_transform(header["transform"]).cropped(plan.params.crop)
    try:
        return _on_device(plan, backbone, transform, device, pool, say)
    except torch.OutOfMemoryError:
        raise PipelineError(
            f"{device}: too little free memory for the backbone with runtime.batch: "
            f"{plan.runtime.batch}. Halve it, or leave a GPU that others use out by "
            "CUDA_VISIBLE_DEVICES."
        ) from None


def _on_device(
    plan: Plan,
    backbone: Backbone,
    transform: Transform,
    device: torch.device,
    pool: ThreadPoolExecutor,
    say: Say,
) -> FileWriter:
    facts: dict[str, Any] = {"folded": backbone.fold is not None, "compiled": False}
    in_bits = in_bf16 if plan.params.precision == "bf16" else in_fp32
    network = to_channels_last(in_bits(backbone, transform), device)
    shape = _batch_shape(plan, transform, device)
    encoder = Encoder(network, transform, device, shape[0], plan.params.decoder)
    reference: Encoder | None = None
    if plan.params.precision == "int8":
        assert backbone.in_full is not None
        reference = encoder
        if plan.scales is None:
            images = _quantisation_images(plan.quantisation, encoder, pool, say)
            quantised = quantise(network, images, backbone.in_full)
        else:
            example = torch.zeros((1, *shape[1:]), dtype=torch.uint8).movedim(-1, -3)
            quantised = quantised_by(plan.scales, network, example, backbone.in_full)
        encoder = replace(encoder, network=quantised)
        facts["engine"] = engine()
    if plan.runtime.compile and plan.params.precision == "int8":
        say("features: int8 is not compiled; its kernels are ready-made")
    elif plan.runtime.compile:
        say("features: compiling the backbone")
        example = torch.zeros(shape, dtype=torch.uint8).movedim(-1, -3).to(device)
        forward, facts["compiled"] = compiled(network, example, say)
        encoder = replace(encoder, network=forward)
    facts = plan.attributes | facts
    return FileWriter(encoder, reference, plan.params.dtype, facts, plan.clips, plan.params.tta)


def _batch_shape(plan: Plan, transform: Transform, device: torch.device) -> tuple[int, ...]:
    """Of what the network takes, channels last: (batch, H, W, 3), or (batch, L, H, W, 3)."""
    side, wanted = transform.crop_px, None if device.type == "cpu" else plan.runtime.batch
    if plan.clips is None:
        return (wanted or CPU_BATCH, side, side, 3)
    length = plan.clips.frames
    return (clips_per_batch(length, wanted), length, side, side, 3)


def _quantisation_images(
    containers: Sequence[Path], encoder: Encoder, pool: ThreadPoolExecutor, say: Say
) -> Iterator[torch.Tensor]:
    for number, path in enumerate(containers, start=1):
        with FrameFile(path) as frames:
            samples = evenly_spaced(frames.kept, FRAMES_PER_VIDEO)
            files = (frames.jpeg(sample) for sample in samples.tolist())
            for images, _ in batches(files, encoder, pool, jpeg.decoded):
                yield images
        say(f"features: int8, scales from {path.stem} ({number}/{len(containers)})")
