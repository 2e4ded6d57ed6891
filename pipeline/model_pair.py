"""models/backbone.safetensors and models/temporal.safetensors, which must belong together."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pipeline.backbone_parts import Tensors
from pipeline.checkpoint import load_checkpoint, tensors_hash
from pipeline.errors import PipelineError
from pipeline.fold_backbones import backbone_of_fold

_OF_FOLD = {"weights_hash", "backbone", "int8"}
"""Keys of a member whose features are those of its fold alone."""

_OF_IMAGES = "pillow"
"""The decoder in the header of models of single images."""


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


def read_pair(backbone: Path, temporal: Path, fold: int | None = None) -> ModelPair:
    """Both files, on the CPU.

    Args:
        backbone: models/backbone.safetensors.
        temporal: models/temporal.safetensors.
        fold: Whose backbone is wanted, where each fold has its own.

    Raises:
        PipelineError: One is missing, damaged or of another kind, or the temporal model was trained
            on another backbone's features, or each fold has a backbone and none is named.
    """
    return _pair((backbone, temporal), load_checkpoint(backbone), load_checkpoint(temporal), fold)


def read_pairs(backbone: Path, temporal: Path) -> dict[int | None, ModelPair]:
    """Both files, on the CPU, once for each fold whose features are its own.

    Args:
        backbone: models/backbone.safetensors.
        temporal: models/temporal.safetensors.

    Returns:
        By fold, in the order of the members; under None where all videos have the same features.

    Raises:
        PipelineError: As read_pair, or the backbone of a fold is missing.
    """
    files = load_checkpoint(backbone), load_checkpoint(temporal)
    own = [m["fold"] for m in files[1][1].get("members", []) if _OF_FOLD & m.keys()]
    folds = tuple(dict.fromkeys(own)) or (None,)
    return {fold: _pair((backbone, temporal), *files, fold) for fold in folds}


def _pair(
    paths: tuple[Path, Path],
    backbone: tuple[Tensors, dict[str, Any]],
    temporal: tuple[Tensors, dict[str, Any]],
    fold: int | None,
) -> ModelPair:
    tensors, described = backbone_of_fold(*backbone, fold)
    weights, header = temporal
    header = as_fold_knows(header, fold)
    for path, found, key in zip(paths, (described, header), ("name", "weights_hash"), strict=True):
        if key not in found:
            raise PipelineError(
                f"{path}: its header has no `{key}`, so it is not a {path.stem} model. Take both "
                "files from the folder models/ of one project."
            )
    weights_hash = tensors_hash(tensors)
    if weights_hash != header["weights_hash"]:
        raise PipelineError(
            f"{paths[0]}: holds backbone {weights_hash[:12]}, but {paths[1]} was trained on "
            f"features of {header['weights_hash'][:12]}. Run `dvc repro`, or take both files from "
            "one project."
        )
    return ModelPair(tensors, described, weights, header, weights_hash)


def as_fold_knows(header: dict[str, Any], fold: int | None) -> dict[str, Any]:
    """The header of a temporal model with the backbone of one fold, where each has its own.

    Args:
        header: Of models/temporal.safetensors.
        fold: From 1; None: the header as it is.
    """
    own = [member for member in header.get("members", []) if fold and member["fold"] == fold]
    return header | {key: member[key] for member in own for key in _OF_FOLD & member.keys()}


def task_of(header: Mapping[str, Any]) -> str:
    """What is asked of a temporal model: "frames", "video" or "images".

    Args:
        header: Of models/temporal.safetensors.
    """
    if header.get("frames", {}).get("decoder") == _OF_IMAGES:
        return "images"
    return str(header.get("task", {}).get("kind", "frames"))


def filled(
    network: torch.nn.Module, tensors: Mapping[str, torch.Tensor], kind: str, path: Path
) -> None:
    """Give a temporal network the weights of a model file.

    Args:
        network: As the file's header describes it.
        tensors: Of the file.
        kind: Of the network, for the message.
        path: The file, for the message.

    Raises:
        PipelineError: The file was written by a version whose networks of this kind were others.
    """
    own = network.state_dict()
    others = sorted(
        name
        for name in own.keys() | tensors.keys()
        if name not in own or name not in tensors or own[name].shape != tensors[name].shape
    )
    if others:
        raise PipelineError(
            f"{path}: was trained by a version of this package whose `{kind}` is another network "
            f"(it differs in {', '.join(others[:5])}). Train it again: `dvc repro`."
        )
    network.load_state_dict(tensors)
