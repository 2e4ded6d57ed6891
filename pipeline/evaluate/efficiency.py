"""What a model costs: parameters, operations and, on this machine, time per frame."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from pipeline.atomic import write_text
from pipeline.networks.backbones.cnn import build_cnn
from pipeline.networks.temporal.contract import TemporalModule

REPEATS = 3
BATCH = 16
SEQUENCE = 1000
"""Frames over which the temporal model's operations are averaged: some 17 minutes at 1 fps."""


@dataclass(frozen=True)
class Cost:
    """Of one part of the model.

    Attributes:
        parameters: Trainable or frozen numbers.
        flops_per_frame: Floating-point operations, a multiply-add counted as two, as torch's
            FlopCounterMode counts them: matrix products and convolutions.
    """

    parameters: int
    flops_per_frame: int


def backbone_cost(name: str, crop_px: int) -> Cost:
    """Of a CNN on one image; shapes decide it, so nothing is computed."""
    with torch.device("meta"):
        cnn = build_cnn(name).eval()
        image = torch.empty(1, 3, crop_px, crop_px)
    return Cost(_parameters(cnn), _flops(lambda: cnn(image)))


def head_cost(network: TemporalModule) -> Cost:
    """Of a temporal network, averaged over a sequence of SEQUENCE frames."""
    if any(isinstance(module, nn.RNNBase) for module in network.modules()):
        # To the counter a fused recurrent layer is one unknown operation. Every weight matrix
        # meets each frame once: two operations per weight.
        flops = 2 * sum(p.numel() for p in network.parameters() if p.dim() == 2)
    else:
        device = next(network.parameters()).device
        flops = _flops(lambda: network(*_frames(network, SEQUENCE, device))) // SEQUENCE
    return Cost(_parameters(network), flops)


@torch.inference_mode()
def timings(
    backbone: str, crop_px: int, network: TemporalModule, device: torch.device
) -> dict[str, float | None]:
    """Seconds on this machine, which differ from run to run and so decide nothing.

    Returns:
        latency_ms_per_frame: streaming, one frame at a time through backbone and head, which
        steps with carried state. None for a network that looks into the future.
        throughput_frames_per_s: offline, batches of BATCH images and whole sequences. Both in
        fp32, medians of REPEATS after a warm-up.
    """
    cnn = build_cnn(backbone).eval().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    images = torch.zeros(BATCH, 3, crop_px, crop_px, device=device)
    images = images.contiguous(memory_format=torch.channels_last)
    sequence = _frames(network, SEQUENCE, device)
    many = _seconds(lambda: cnn(images), device) / BATCH
    many += _seconds(lambda: network(*sequence), device) / SEQUENCE
    latency = None
    if network.causal:
        one = images[:1].contiguous(memory_format=torch.channels_last)
        head = _seconds(_step(network, device), device)
        latency = round(1000 * (_seconds(lambda: cnn(one), device) + head), 3)
    return {"latency_ms_per_frame": latency, "throughput_frames_per_s": round(1 / many, 2)}


def _step(network: TemporalModule, device: torch.device) -> Callable[[], object]:
    """What a causal network does when one more frame comes."""
    feature = _frames(network, 1, device)[0][:, 0]
    _, state = network.step(feature)
    return lambda: network.step(feature, state)


def describe_device(device: torch.device) -> str:
    """The kind of processor, without a name of the machine."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU, {torch.get_num_threads()} threads"


def _parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _flops(run: Callable[[], object]) -> int:
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        run()
    return int(counter.get_total_flops())


def _frames(
    network: TemporalModule, frames: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Features and mask of so many frames; their values do not matter for the time."""
    return (
        torch.zeros(1, frames, network.dim, device=device),
        torch.ones(1, frames, dtype=torch.bool, device=device),
    )


def _seconds(run: Callable[[], object], device: torch.device) -> float:
    def once() -> float:
        started = time.perf_counter()
        run()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter() - started

    once()
    return median(once() for _ in range(REPEATS))


def write_efficiency(
    path: Path, backbone: str, crop_px: int, network: TemporalModule, device: torch.device
) -> None:
    """Write reports/efficiency.json. It is no output of a stage: timings are never the same."""
    content = {
        "backbone": vars(backbone_cost(backbone, crop_px)),
        "head": vars(head_cost(network)),
        "timings": {
            "device": describe_device(device),
            **timings(backbone, crop_px, network, device),
        },
    }
    write_text(path, json.dumps(content, indent=2, sort_keys=True) + "\n")
