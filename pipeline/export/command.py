"""The command `export`: trained models to files for other programs, checked before they stay."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
import torch

from pipeline.backbone_parts import separated
from pipeline.bundle.opened import opened_models
from pipeline.checkpoint import tensors_hash
from pipeline.errors import PipelineError
from pipeline.evaluate.predict import load_model
from pipeline.evaluate.video_answers import members_of
from pipeline.export import check
from pipeline.export.accuracy import validation_accuracy
from pipeline.export.backbone import backbone_graph, described, rebuilt_backbone
from pipeline.export.graph import Graph, program_of, write_onnx, write_torch
from pipeline.export.images import calibration_containers, calibration_images, compared_images
from pipeline.export.pair import BACKBONE, TEMPORAL
from pipeline.export.precision import to_fp16, to_int8
from pipeline.export.refused import check_exportable
from pipeline.export.runtime import FORMAT_VERSION, OnnxModels, onnxruntime
from pipeline.export.temporal import temporal_graph
from pipeline.features.precision import in_fp32
from pipeline.networks.backbones.contract import Backbone
from pipeline.networks.backbones.transform import Transform
from pipeline.networks.backbones.transform_record import read_transform
from pipeline.networks.temporal.contract import TemporalModule
from pipeline.networks.temporal.video_head import VideoHead
from pipeline.predict.loaded import read_models
from pipeline.result_store import file_hash

Precision = Literal["fp32", "fp16", "int8"]

# Keys of a header that name places on the machine of whoever trained it.
_PRIVATE = ("params", "weights")


@dataclass(frozen=True)
class Loaded:
    """Both networks on the CPU, and what is said of them.

    Attributes:
        backbone: In evaluation mode.
        transform: What is done to an image before, with the crop of the features.
        temporal: In evaluation mode.
        about: Metadata of both files, by their role.
    """

    backbone: Backbone
    transform: Transform
    temporal: TemporalModule
    about: Mapping[str, dict[str, Any]]


def export_models(
    models: Path, to: Literal["onnx", "torch"], out: Path | None, precision: Precision
) -> str:
    """Write both networks into a folder; files appear there when all are written and checked.

    Args:
        models: A folder of models, or a bundle.
        to: The format.
        out: The folder; None: a folder of the format's name beside the models.
        precision: Of the backbone. The temporal model stays in fp32: it is small.

    Returns:
        Lines for the terminal.

    Raises:
        PipelineError: The models are missing or of a sort that is not exported, a library is
            missing, or what was written differs from torch.
    """
    if to == "torch" and precision != "fp32":
        raise PipelineError(f"--precision: found {precision}; --to torch knows fp32 only.")
    out = out or (models if models.is_dir() else models.parent) / to
    with opened_models(models) as folder:
        loaded = _load(folder)
    if precision == "int8" and loaded.backbone.in_full is None:
        raise PipelineError(
            f"--precision: found int8, but {loaded.backbone.name} loses too much by it. Allowed "
            "for it: fp32, fp16."
        )
    out.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=out, prefix=".") as partial:
        write = _write_onnx if to == "onnx" else _write_torch
        lines = write(Path(partial), loaded, precision)
        names = sorted(path.name for path in Path(partial).iterdir())
        for name in names:
            os.replace(Path(partial) / name, out / name)
    sizes = [f"{name} {(out / name).stat().st_size / 1e6:.1f} MB" for name in names]
    return "\n".join([f"{out}: {', '.join(sizes)}", *lines])


def _load(folder: Path) -> Loaded:
    models = read_models(folder)
    recipe = models.recipe
    check_exportable(models, folder)
    (pair,) = models.pairs.values()
    ((tensors, header),) = separated(pair.backbone, pair.backbone_header)
    transform = read_transform(header["transform"]).cropped(recipe.features.crop)
    temporal, temporal_header = load_model(folder / "temporal.safetensors", torch.device("cpu"))
    backbone = rebuilt_backbone(tensors, header["name"])
    stated = {k: v for k, v in temporal_header.items() if k != "backbone"}
    trained = {k: v for k, v in header.items() if k not in _PRIVATE}
    return Loaded(
        backbone,
        transform,
        temporal.requires_grad_(False),
        {
            "backbone": {
                **{"format": FORMAT_VERSION, "role": "backbone", "backbone": trained},
                "made_from": file_hash(folder / "backbone.safetensors"),
                **described(backbone, transform, temporal_header),
            },
            "temporal": {
                **{"format": FORMAT_VERSION, "role": "temporal"},
                "made_from": file_hash(folder / "temporal.safetensors"),
                "form": _form(models.of_videos, temporal.causal),
                "tensors_hash": tensors_hash(pair.temporal),
                **stated,
            },
        },
    )


def _form(of_videos: bool, causal: bool) -> str:
    """What a graph of a temporal network takes and gives, in a word."""
    if of_videos:
        return "answer"
    return "step" if causal else "sequence"


def _graphs(loaded: Loaded, half: bool) -> tuple[Graph, Graph]:
    # The temporal one first: what cannot be exported is known at once.
    about = loaded.about["temporal"]
    temporal = temporal_graph(loaded.temporal, about["kind"], about["form"] == "answer")
    return temporal, backbone_graph(loaded.backbone, loaded.transform, half)


def _write_torch(folder: Path, loaded: Loaded, precision: Precision) -> list[str]:
    for graph, role in zip(_graphs(loaded, half=False), ("temporal", "backbone"), strict=True):
        path = folder / f"{role}.pt2"
        write_torch(path, program_of(graph), loaded.about[role])
        _same_program(path, graph)
    return ["both programs were loaded again and give what the networks give"]


@torch.inference_mode()
def _same_program(path: Path, graph: Graph) -> None:
    again = torch.export.load(path).module()
    found, wanted = _tuple(again(*graph.example)), _tuple(graph.network(*graph.example))
    for one, other in zip(found, wanted, strict=True):
        if not torch.allclose(one, other, rtol=check.TOLERANCE, atol=check.TOLERANCE):
            raise PipelineError(f"{path}: gives other numbers than the network. It was not kept.")


def _tuple(values: Any) -> tuple[torch.Tensor, ...]:
    return values if isinstance(values, tuple) else (values,)


def _write_onnx(folder: Path, loaded: Loaded, precision: Precision) -> list[str]:
    # What is missing is said before the work and not after it.
    onnxruntime()
    calibration = calibration_containers() if precision == "int8" else []
    temporal, backbone = _graphs(loaded, half=precision == "fp16")
    write_onnx(folder / TEMPORAL, temporal, program_of(temporal), loaded.about["temporal"])
    about = loaded.about["backbone"] | {"precision": precision}
    write_onnx(folder / BACKBONE, backbone, program_of(backbone), about)
    images, which = compared_images(loaded.transform)
    models = OnnxModels(folder)
    reference = in_fp32(loaded.backbone, loaded.transform)
    by = check.features_differ(folder / BACKBONE, models.features, reference, images)
    features = models.features(images)
    if models.of_videos:
        networks = [own for own, _ in members_of(loaded.temporal, models.temporal)]
        logits = check.answers_differ(
            folder / TEMPORAL, models.answer, lambda rows: _answers(networks, rows), features
        )
    else:
        logits = check.logits_differ(
            folder / TEMPORAL, models.logits, lambda rows: _logits(loaded.temporal, rows), features
        )
    lines = [
        f"in ONNX Runtime and in torch, on {len(images)} {which}: features differ by {by:.1e} of "
        f"their length, logits by {logits:.1e}, predictions are the same"
    ]
    if precision == "fp32":
        return lines
    _in_fewer_bits(folder, loaded.transform, calibration)
    models = OnnxModels(folder)
    by = check.relative_difference(models.features(images), features)
    lines.append(f"in {precision}, features differ from fp32 by {by:.1e} of their length")
    return [*lines, validation_accuracy(models, loaded.transform)]


def _in_fewer_bits(folder: Path, transform: Transform, calibration: Sequence[Path]) -> None:
    """Replace the backbone by one in int8 with scales from these frames; in fp16 without them."""
    source, target = folder / BACKBONE, folder / f"fewer.{BACKBONE}"
    if calibration:
        to_int8(source, target, calibration_images(calibration, transform))
    else:
        to_fp16(source, target)
    os.replace(target, source)


@torch.inference_mode()
def _logits(network: TemporalModule, features: check.Floats) -> check.Floats:
    rows = torch.from_numpy(features)[None]
    logits = network(rows, torch.ones(rows.shape[:2], dtype=torch.bool)).logits[-1][0]
    return np.asarray(logits.numpy())


@torch.inference_mode()
def _answers(
    networks: Sequence[VideoHead], features: check.Floats
) -> tuple[check.Floats, check.Floats]:
    """Logits (M, C) and attention (M, T)."""
    rows = torch.from_numpy(features)[None]
    mask = torch.ones(rows.shape[:2], dtype=torch.bool)
    logits = torch.cat([own(rows, mask).logits[-1][0] for own in networks])
    return logits.numpy(), torch.cat([own.attention(rows, mask) for own in networks]).numpy()
