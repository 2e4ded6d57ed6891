"""models/backbone.safetensors and models/temporal.safetensors, which must belong together."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pipeline.checkpoint import load_checkpoint, tensors_hash
from pipeline.errors import PipelineError


@dataclass(frozen=True)
class ModelPair:
    """The content of both files.

    Attributes:
        backbone: Tensors of the backbone, or of all that lie side by side.
        backbone_header: What is said of them.
        temporal: Tensors of the temporal model.
        temporal_header: What is said of them; holds all that leads from a video to predictions.
        weights_hash: Of the backbone's tensors.
    """

    backbone: dict[str, torch.Tensor]
    backbone_header: Mapping[str, Any]
    temporal: dict[str, torch.Tensor]
    temporal_header: Mapping[str, Any]
    weights_hash: str


def read_pair(backbone: Path, temporal: Path) -> ModelPair:
    """Both files, on the CPU.

    Raises:
        PipelineError: One is missing, damaged or of another kind, or the temporal model was trained
            on another backbone's features.
    """
    tensors, described = load_checkpoint(backbone)
    weights, header = load_checkpoint(temporal)
    for path, found, key in ((backbone, described, "name"), (temporal, header, "weights_hash")):
        if key not in found:
            raise PipelineError(
                f"{path}: its header has no `{key}`, so it is not a {path.stem} model. Take both "
                "files from the folder models/ of one project."
            )
    weights_hash = tensors_hash(tensors)
    if weights_hash != header["weights_hash"]:
        raise PipelineError(
            f"{backbone}: holds backbone {weights_hash[:12]}, but {temporal} was trained on "
            f"features of {header['weights_hash'][:12]}. Run `dvc repro`, or take both files from "
            "one project."
        )
    return ModelPair(tensors, described, weights, header, weights_hash)
