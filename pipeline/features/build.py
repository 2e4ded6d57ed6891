"""From pinned weights to what writes feature files: folded, in the wanted precision, somewhere."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pipeline.checkpoint import load_checkpoint
from pipeline.errors import PipelineError
from pipeline.features.calibration import FRAMES_PER_VIDEO, spread
from pipeline.features.compiled import compiled
from pipeline.features.devices import settle
from pipeline.features.encode import CPU_BATCH, Encoder, batches
from pipeline.features.params import FeaturesParams
from pipeline.features.quantise import engine, quantise
from pipeline.features.video import Coder
from pipeline.frame_store import FrameFile
from pipeline.networks.backbones.cnn import build_cnn
from pipeline.networks.backbones.fold import fold
from pipeline.networks.backbones.transform import Transform
from pipeline.runtime import RuntimeParams

Say = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """All that a process needs to build its coder; can be sent to another process.

    Attributes:
        backbone: The pinned weights.
        params: Precision, crop and type on disk.
        runtime: Threads, batch on a GPU, compilation.
        calibration: Containers whose frames decide the scales of int8, else none.
        attributes: Of every file.
    """

    backbone: Path
    params: FeaturesParams
    runtime: RuntimeParams
    calibration: Sequence[Path]
    attributes: dict[str, Any]


def build_coder(plan: Plan, device: torch.device, pool: ThreadPoolExecutor, say: Say) -> Coder:
    """The backbone, ready on a device.

    Args:
        plan: What to build.
        device: Where it runs.
        pool: Threads that prepare the calibration images.
        say: Takes lines for the terminal.

    Raises:
        PipelineError: The device has too little memory left, or int8 cannot be done.
    """
    try:
        return _built(plan, device, pool, say)
    except torch.OutOfMemoryError:
        raise PipelineError(
            f"{device}: too little free memory for the backbone with runtime.batch: "
            f"{plan.runtime.batch}. Halve it, or leave a GPU that others use out by "
            "CUDA_VISIBLE_DEVICES."
        ) from None


def _built(plan: Plan, device: torch.device, pool: ThreadPoolExecutor, say: Say) -> Coder:
    settle(plan.runtime.thread_count)
    tensors, header = load_checkpoint(plan.backbone)
    network = build_cnn(header["name"])
    network.load_state_dict(tensors)
    transform = Transform(**header["transform"]).cropped(plan.params.crop)
    folded = fold(network.eval(), transform)
    batch = CPU_BATCH if device.type == "cpu" else plan.runtime.batch
    facts: dict[str, Any] = {"folded": True, "compiled": False}
    reference: Encoder | None = None
    in_full = _laid_out(folded, device, torch.float32)
    full = Encoder(in_full, transform, device, batch, plan.params.decoder)
    match plan.params.precision:
        case "int8":
            assert isinstance(folded, nn.Sequential)
            reference = full
            images = _calibration_images(plan.calibration, full, pool, say)
            encoder = replace(full, network=quantise(folded, images))
            facts["engine"] = engine()
        case "bf16":
            encoder = replace(full, network=_laid_out(folded, device, torch.bfloat16))
        case "fp32":
            encoder = full
    if plan.runtime.compile and plan.params.precision == "int8":
        say("features: int8 is not compiled; its kernels are ready-made")
    elif plan.runtime.compile:
        say("features: compiling the backbone")
        example = torch.zeros(batch, transform.crop_px, transform.crop_px, 3, dtype=torch.uint8)
        assert isinstance(encoder.network, nn.Module)
        forward, facts["compiled"] = compiled(
            encoder.network, example.permute(0, 3, 1, 2).to(device), say
        )
        encoder = replace(encoder, network=forward)
    return Coder(encoder, reference, plan.params.dtype, plan.attributes | facts)


def _laid_out(network: nn.Module, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """The network with a type and the memory order that convolutions are fastest in."""
    placed = network.to(device, dtype)
    return placed.to(memory_format=torch.channels_last)


def _calibration_images(
    containers: Sequence[Path], encoder: Encoder, pool: ThreadPoolExecutor, say: Say
) -> Iterator[torch.Tensor]:
    for number, path in enumerate(containers, start=1):
        with FrameFile(path) as frames:
            samples = frames.kept[spread(len(frames.kept), FRAMES_PER_VIDEO)]
            yield from batches(frames, samples, encoder, pool)
        say(f"features: int8, calibrated on {path.stem} ({number}/{len(containers)})")
