"""Parameters, operations and time per frame of the models that are in models/ now.

A command and no stage: timings are never the same twice, and a file that a stage wrote beside its
outputs would go on describing another model when DVC takes those from its cache.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch

from pipeline import paths
from pipeline.atomic import write_text
from pipeline.backbone_parts import names_and_crops
from pipeline.checkpoint import read_header
from pipeline.errors import PipelineError
from pipeline.evaluate.predict import load_model
from pipeline.feature_store import read_attributes
from pipeline.features.views import NUM_VIEWS
from pipeline.given_features import NETWORK
from pipeline.networks.backbones import build_backbone
from pipeline.networks.backbones.contract import Backbone
from pipeline.networks.backbones.memory_format import to_channels_last
from pipeline.networks.cost import SEQUENCE, blank_features, image_cost, sequence_cost
from pipeline.networks.temporal.contract import TemporalModule
from pipeline.result_store import file_hash
from pipeline.runtime import gpus, read_runtime

REPEATS = 3
BATCH = 16
CLIPS = 2


def measure(path: Path = paths.EFFICIENCY) -> dict[str, Any]:
    """Measure both models, write reports/efficiency.json, and return its content.

    Raises:
        PipelineError: There is no model yet, or no features, which say the crop of the images.
    """
    backbone = read_header(paths.BACKBONE)
    if backbone["name"] == NETWORK:
        raise PipelineError(
            f"{paths.BACKBONE}: holds no network to measure: the data set brings its features "
            "itself. The report names the size of the temporal model."
        )
    runtime = read_runtime()
    torch.set_num_threads(runtime.thread_count)
    device = torch.device("cuda" if gpus(runtime) else "cpu")
    network, _ = load_model(paths.TEMPORAL, device)
    made = _features()
    views = NUM_VIEWS[made.get("tta", "none")]
    # Frozen networks side by side each see the image at a size of their own.
    parts = names_and_crops(backbone, made["crop"])
    crops = [crop_px for _, crop_px in parts]
    content = {
        "backbone": {
            **_model(paths.BACKBONE),
            "crop_px": crops[0] if len(set(crops)) == 1 else crops,
            **_cost(parts, views),
        },
        "head": {**_model(paths.TEMPORAL), **vars(sequence_cost(network, network.dim))},
        "timings": {
            "device": _named(device),
            **timings(
                [(build_backbone(name), crop) for name, crop in parts], views, network, device
            ),
        },
    }
    write_text(path, json.dumps(content, indent=2, sort_keys=True) + "\n")
    return content


def as_text(content: Mapping[str, Any]) -> str:
    """What was measured, as a small table for a terminal."""
    latency = content["timings"]["latency_ms_per_frame"]
    rows = [
        (
            part,
            f"{found['parameters']:,} parameters",
            f"{found['flops_per_frame']:,} FLOP per frame",
        )
        for part, found in (("backbone", content["backbone"]), ("head", content["head"]))
    ]
    rows += [
        ("one frame at a time", "-" if latency is None else f"{latency} ms per frame", ""),
        ("offline", f"{content['timings']['throughput_frames_per_s']} frames per second", ""),
        ("on", content["timings"]["device"], ""),
    ]
    return "\n".join(f"{a:<20} {b:<24} {c}".rstrip() for a, b, c in rows)


@torch.inference_mode()
def timings(
    backbones: Sequence[tuple[Backbone, int]],
    views: int,
    network: TemporalModule,
    device: torch.device,
) -> dict[str, float | None]:
    """Seconds on this machine, in fp32, medians of REPEATS after a warm-up.

    Args:
        backbones: Each with the edge of its square images; their weights do not matter.
        views: Images, or clips, that each of them sees of a sample.
        network: The temporal network.
        device: Where both run.

    Returns:
        latency_ms_per_frame: streaming, one frame at a time through both; None for a network that
        looks into the future. throughput_frames_per_s: offline, batches of BATCH images (CLIPS
        clips) and whole sequences.
    """
    sequence = blank_features(SEQUENCE, network.dim, device)
    many = _seconds(lambda: network(*sequence), device) / SEQUENCE
    one = _seconds(_step(network, device), device) if network.causal else 0.0
    for backbone, crop_px in backbones:
        cnn = to_channels_last(backbone.network.eval(), device)
        length = () if backbone.clip_frames is None else (backbone.clip_frames,)
        batch = BATCH if backbone.clip_frames is None else CLIPS
        # Channels last in memory.
        images = torch.zeros(batch, *length, crop_px, crop_px, 3, device=device).movedim(-1, -3)
        many += views * _seconds(partial(cnn, images), device) / batch
        one += views * _seconds(partial(cnn, images[:1]), device) if network.causal else 0.0
    latency = round(1000 * one, 3) if network.causal else None
    return {"latency_ms_per_frame": latency, "throughput_frames_per_s": round(1 / many, 2)}


def _step(network: TemporalModule, device: torch.device) -> Callable[[], object]:
    """What a causal network does when one more frame comes, in the middle of a video."""
    feature = torch.zeros(1, network.dim, device=device)
    _, state = network.step(feature)
    return lambda: network.step(feature, state)


def _cost(parts: Sequence[tuple[str, int]], views: int) -> dict[str, int]:
    """Of all networks together, for one sample, of which each sees so many images."""
    costs = []
    for name, crop_px in parts:
        with torch.device("meta"):
            cnn = build_backbone(name)
            costs.append(image_cost(cnn.network.eval(), crop_px, cnn.clip_frames))
    return {
        "parameters": sum(cost.parameters for cost in costs),
        "flops_per_frame": views * sum(cost.flops_per_frame for cost in costs),
    }


def _features() -> dict[str, Any]:
    """What the files of features say of how they were made."""
    files = sorted(paths.FEATURES.rglob("*.h5"))  # of one fold, where each has its own
    if not files:
        raise PipelineError(f"{paths.FEATURES}: holds no features. Run `dvc repro` first.")
    return read_attributes(files[0])


def _model(path: Path) -> dict[str, str]:
    return {"file": path.name, "sha256": file_hash(path)}


def _named(device: torch.device) -> str:
    """The kind of processor, without a name of the machine."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU, {torch.get_num_threads()} threads"


def _seconds(run: Callable[[], object], device: torch.device) -> float:
    def once() -> float:
        started = time.perf_counter()
        run()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter() - started

    once()
    return median(once() for _ in range(REPEATS))
