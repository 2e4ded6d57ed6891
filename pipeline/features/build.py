"""From pinned weights to what writes feature files: in the wanted precision, on one device."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pipeline.allocator import keep_freed_memory
from pipeline.checkpoint import load_checkpoint
from pipeline.determinism import use_deterministic_kernels
from pipeline.errors import PipelineError
from pipeline.features.compiled import compiled
from pipeline.features.encode import CPU_BATCH, Encoder, batches
from pipeline.features.params import FeaturesParams
from pipeline.features.quantisation_frames import FRAMES_PER_VIDEO, evenly_spaced
from pipeline.features.quantise import engine, quantise
from pipeline.features.video import FileWriter
from pipeline.frame_store import FrameFile
from pipeline.networks.backbones import build_backbone
from pipeline.networks.backbones.contract import Backbone
from pipeline.networks.backbones.transform import Transform
from pipeline.runtime import RuntimeParams

Say = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """All that a process needs to build its writer; can be sent to another process.

    Attributes:
        backbone: The pinned weights.
        params: Precision, crop and type on disk.
        runtime: Threads, batch on a GPU, compilation.
        quantised_on: Containers whose frames decide the scales of int8, else none.
        attributes: Of every file.
    """

    backbone: Path
    params: FeaturesParams
    runtime: RuntimeParams
    quantised_on: Sequence[Path]
    attributes: dict[str, Any]


def build_writer(
    plan: Plan, device: torch.device, pool: ThreadPoolExecutor, say: Say
) -> FileWriter:
    """The backbone, ready on a device.

    Args:
        plan: What to build.
        device: Where it runs.
        pool: Threads that prepare the images which decide the scales of int8.
        say: Takes lines for the terminal.

    Raises:
        PipelineError: The device has too little memory left, or int8 cannot be done.
    """
    keep_freed_memory()
    torch.set_num_threads(plan.runtime.thread_count)
    use_deterministic_kernels()
    try:
        return _built(plan, device, pool, say)
    except torch.OutOfMemoryError:
        raise PipelineError(
            f"{device}: too little free memory for the backbone with runtime.batch: "
            f"{plan.runtime.batch}. Halve it, or leave a GPU that others use out by "
            "CUDA_VISIBLE_DEVICES."
        ) from None


def _built(plan: Plan, device: torch.device, pool: ThreadPoolExecutor, say: Say) -> FileWriter:
    tensors, header = load_checkpoint(plan.backbone)
    backbone = build_backbone(header["name"])
    backbone.network.load_state_dict(tensors)
    backbone.network.eval()
    transform = Transform(**header["transform"]).cropped(plan.params.crop)
    batch = CPU_BATCH if device.type == "cpu" else plan.runtime.batch
    facts: dict[str, Any] = {"folded": backbone.fold is not None, "compiled": False}
    reference: Encoder | None = None
    network: nn.Module
    match plan.params.precision:
        case "int8":
            folded, in_full = _quantisable(backbone, transform)
            in_fp32 = _laid_out(folded, device, torch.float32)
            reference = Encoder(in_fp32, transform, device, batch, plan.params.decoder)
            images = _images_for_scales(plan.quantised_on, reference, pool, say)
            network = quantise(folded, in_full, images)
            facts["engine"] = engine()
        case "bf16":
            network = in_bf16(backbone, transform, device)
        case "fp32":
            network = _laid_out(in_fp32_of(backbone, transform), device, torch.float32)
    encoder = Encoder(network, transform, device, batch, plan.params.decoder)
    if plan.runtime.compile and plan.params.precision == "int8":
        say("features: int8 is not compiled; its kernels are ready-made")
    elif plan.runtime.compile:
        say("features: compiling the backbone")
        example = torch.zeros(batch, transform.crop_px, transform.crop_px, 3, dtype=torch.uint8)
        forward, facts["compiled"] = compiled(network, example.permute(0, 3, 1, 2).to(device), say)
        encoder = replace(encoder, network=forward)
    return FileWriter(encoder, reference, plan.params.dtype, plan.attributes | facts)


def in_fp32_of(backbone: Backbone, transform: Transform) -> nn.Module:
    """A network of pixels, with all folded that the family can fold."""
    if backbone.fold is not None:
        return backbone.fold(backbone.network, transform)
    return nn.Sequential(Normalise(transform, torch.float32), backbone.network)


def in_bf16(backbone: Backbone, transform: Transform, device: torch.device) -> nn.Module:
    """A network of pixels that computes in bfloat16.

    Batch norm is folded, the normalisation is not: pixels of 0 to 255 times weights made small for
    them would meet rounding to 8 bits before their mean is subtracted, which costs a tenth to a
    fifth more error than normalising in fp32 first (benchmarks/README.md).
    """
    network = backbone.network if backbone.fold is None else backbone.fold(backbone.network, None)
    network = _laid_out(network, device, torch.bfloat16)
    return nn.Sequential(Normalise(transform, torch.bfloat16).to(device), network)


class Normalise(nn.Module):
    """Pixels to the range that a network was trained on, computed in fp32.

    Args:
        transform: Whose mean and scale.
        dtype: Of the result.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, transform: Transform, dtype: torch.dtype) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(transform.mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(transform.std).view(1, 3, 1, 1))
        self.dtype = dtype

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) uint8 to the same shape, channels last."""
        normalised = (images.float() / 255 - self.mean) / self.std
        return normalised.to(self.dtype).contiguous(memory_format=torch.channels_last)


def _quantisable(backbone: Backbone, transform: Transform) -> tuple[nn.Module, tuple[str, ...]]:
    if backbone.fold is None or backbone.in_full is None:
        raise PipelineError(
            f"params.yaml: features.precision: found int8, but backbone.name: {backbone.name} "
            "cannot be quantised. Allowed with it: fp32, bf16."
        )
    return backbone.fold(backbone.network, transform), backbone.in_full


def _laid_out(network: nn.Module, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """The network with a type and the memory order that convolutions are fastest in."""
    placed = network.to(device, dtype)
    return placed.to(memory_format=torch.channels_last)


def _images_for_scales(
    containers: Sequence[Path], encoder: Encoder, pool: ThreadPoolExecutor, say: Say
) -> Iterator[torch.Tensor]:
    for number, path in enumerate(containers, start=1):
        with FrameFile(path) as frames:
            samples = frames.kept[evenly_spaced(len(frames.kept), FRAMES_PER_VIDEO)]
            yield from batches(frames, samples, encoder, pool)
        say(f"features: int8, scales from {path.stem} ({number}/{len(containers)})")
