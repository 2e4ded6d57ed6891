"""The project's backbone and smaller ones side by side: size, cost, speed, and what they tell."""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch

from pipeline import paths
from pipeline.atomic import write_text
from pipeline.checkpoint import load_checkpoint
from pipeline.compress.examples import crop_of_features, read_teacher
from pipeline.determinism import use_deterministic_kernels
from pipeline.features.encode import CPU_BATCH
from pipeline.features.precision import in_fp32
from pipeline.metrics.wording import percent
from pipeline.networks.backbones import build_backbone
from pipeline.networks.backbones.contract import Tensors
from pipeline.networks.backbones.memory_format import images_channels_last, to_channels_last
from pipeline.networks.backbones.transform import Transform
from pipeline.networks.backbones.transform_record import read_transform
from pipeline.networks.cost import image_cost
from pipeline.probe.probing import rows_of
from pipeline.probe.scores import Probed, Scores
from pipeline.runtime import gpus, read_runtime
from pipeline.tables import read_labels, read_splits
from pipeline.text_tables import plain_table

REPORT = paths.REPORTS / "compress.json"
_RUNS = 3
HEADS = (
    *("backbone", "weights", "MB", "parameters, M", "GFLOP", "images/s", "dim", "cosine"),
    *("linear accuracy", "95 % interval", "k-NN accuracy"),
)


@dataclass(frozen=True)
class Row:
    """One backbone.

    Attributes:
        backbone: Name.
        weights: Name of its file.
        megabytes: Of the file.
        parameters: Numbers in the network.
        flops_per_image: Operations, a multiply-add counted as two.
        images_per_s: Of the forward pass alone, in fp32 on this machine.
        dim: Length of the feature vector.
        cosine: With the features of the backbone that it was made from, mean over validation
            frames, standardised; a student's after a linear map. None where there were no such
            frames, and for what was not made from another one.
        probed: What its features tell about the phase; None without labelled training and
            validation videos.
    """

    backbone: str
    weights: str
    megabytes: float
    parameters: int
    flops_per_image: int
    images_per_s: float
    dim: int
    cosine: float | None
    probed: Probed | None


def table(files: Sequence[Path], report: Path = REPORT) -> str:
    """Measure the project's backbone and these files, write reports/compress.json.

    Args:
        files: What `compress prune` and `compress distil` wrote.
        report: The JSON file.

    Returns:
        The table, as text.

    Raises:
        PipelineError: A file is missing or is none of this project's, or there are no frames.
    """
    read_teacher()
    runtime = read_runtime()
    torch.set_num_threads(runtime.thread_count)
    use_deterministic_kernels()
    device = torch.device("cuda" if gpus(runtime) else "cpu")
    rows = [_row(path, device) for path in (paths.BACKBONE, *files)]
    content = {"backbones": [asdict(row) for row in rows]}
    write_text(report, json.dumps(content, indent=2, sort_keys=True) + "\n")
    return plain_table([HEADS, *(_cells(row) for row in rows)])


def _row(path: Path, device: torch.device) -> Row:
    tensors, header = load_checkpoint(path)
    name = str(header["name"])
    transform = read_transform(header["transform"]).cropped(crop_of_features())
    with torch.device("meta"):  # no memory, no numbers
        cost = image_cost(build_backbone(name).network.eval(), transform.crop_px)
    cosine: dict[str, float] = header.get("compress", {}).get("cosine", {})
    (probed,) = [row.probed for row in rows_of(f"{name}={path}", "val")] if _labelled() else [None]
    return Row(
        backbone=name,
        weights=path.name,
        megabytes=round(path.stat().st_size / 1e6, 1),
        parameters=cost.parameters,
        flops_per_image=cost.flops_per_frame,
        images_per_s=round(_images_per_s(name, tensors, transform, device), 1),
        dim=int(header["dim"]),
        cosine=cosine.get("after"),
        probed=probed,
    )


@torch.inference_mode()
def _images_per_s(name: str, tensors: Tensors, transform: Transform, device: torch.device) -> float:
    """As the features stage runs the network, in fp32: median of a few runs after a warm-up."""
    backbone = build_backbone(name)
    backbone.network.load_state_dict(tensors)
    network: Any = to_channels_last(in_fp32(backbone, transform), device)
    side = transform.crop_px
    images = images_channels_last(
        torch.zeros(CPU_BATCH, 3, side, side, dtype=torch.uint8, device=device)
    )

    def seconds() -> float:
        started = time.perf_counter()
        network(images)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter() - started

    seconds()
    return CPU_BATCH / median(seconds() for _ in range(_RUNS))


def _labelled() -> bool:
    """Whether a probe has labelled videos to learn from and to be scored on."""
    splits = read_splits()
    labelled = set(read_labels()["video"])
    return all(labelled & set(splits["video"][splits["split"] == s]) for s in ("train", "val"))


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.backbone,
        row.weights,
        f"{row.megabytes:.1f}",
        f"{row.parameters / 1e6:.1f}",
        f"{row.flops_per_image / 1e9:.2f}",
        f"{row.images_per_s:.1f}",
        str(row.dim),
        "-" if row.cosine is None else f"{row.cosine:.3f}",
        *_told(None if row.probed is None else row.probed.linear),
        _told(None if row.probed is None else row.probed.neighbours)[0],
    )


def _told(scores: Scores | None) -> tuple[str, str]:
    """Accuracy and its interval."""
    if scores is None:
        return "-", "-"
    ends = scores.interval
    shown = "-" if ends is None else f"{100 * ends[0]:.1f} to {percent(ends[1])}"
    return percent(scores.accuracy), shown
