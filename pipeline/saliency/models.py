"""Both trained networks from models/, which must belong together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pipeline import paths
from pipeline.backbone_parts import separated
from pipeline.errors import PipelineError
from pipeline.given_features import NETWORK
from pipeline.model_pair import filled, read_pair
from pipeline.networks.backbones import build_backbone
from pipeline.networks.backbones.contract import Backbone
from pipeline.networks.backbones.transform import Transform
from pipeline.networks.backbones.transform_record import read_transform
from pipeline.networks.temporal.contract import TemporalModule
from pipeline.networks.temporal.ensemble import chosen
from pipeline.networks.temporal.params import rebuilt


@dataclass(frozen=True)
class Models:
    """What leads from an image, or a clip, to logits, on the CPU.

    A few frames need no GPU, and their pictures are then the same with and without one.

    Attributes:
        backbones: One, or several whose features lie side by side; in evaluation mode, without
            gradients of their own.
        transforms: What the weights of each expect of an image, before the crop of the features.
        weights_hash: Of the tensors of all.
        temporal: In evaluation mode, without gradients of its own.
        header: Of models/temporal.safetensors.
    """

    backbones: Sequence[Backbone]
    transforms: Sequence[Transform]
    weights_hash: str
    temporal: TemporalModule
    header: Mapping[str, Any]


def read_models(
    backbone: Path = paths.BACKBONE, temporal: Path = paths.TEMPORAL, fold: int | None = None
) -> Models:
    """The networks of models/.

    Args:
        backbone: models/backbone.safetensors.
        temporal: models/temporal.safetensors.
        fold: Whose networks alone are wanted, for its test videos; None: all.

    Raises:
        PipelineError: One is missing or damaged, or the temporal model was trained on another
            backbone's features, or it predicts no phases, or each fold has a backbone and none is
            named.
    """
    pair = read_pair(backbone, temporal, fold)
    if pair.backbone_header["name"] == NETWORK:
        raise PipelineError(
            f"{backbone}: holds no network: the data set brings its features itself, so that "
            "nothing leads from an image to a prediction."
        )
    if pair.temporal_header.get("task", {}).get("kind") == "video":
        raise PipelineError(
            f"{temporal}: gives one answer per video, but what is explained here are phases of "
            "frames. reports/index.html shows where the answer of each test video came from."
        )
    parts = separated(pair.backbone, pair.backbone_header)
    network = rebuilt(pair.temporal_header)
    filled(network, pair.temporal, pair.temporal_header["kind"], temporal)
    return Models(
        backbones=[_built(own, part["name"]) for own, part in parts],
        transforms=[read_transform(part["transform"]) for _, part in parts],
        weights_hash=pair.weights_hash,
        temporal=chosen(network, pair.temporal_header, fold).eval().requires_grad_(False),
        header=pair.temporal_header,
    )


def _built(tensors: Mapping[str, torch.Tensor], name: str) -> Backbone:
    backbone = build_backbone(name)
    backbone.network.load_state_dict(tensors)
    backbone.network.eval().requires_grad_(False)
    return backbone
