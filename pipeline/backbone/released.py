"""Weights of released surgical encoders: fetched, or from a file, and taken out of it."""

import re
from pathlib import Path
from typing import Any

import torch

from pipeline.backbone.weight_files import content_of
from pipeline.errors import PipelineError
from pipeline.networks.backbones.contract import Tensors
from pipeline.networks.backbones.surgical import Encoder, encoder_of


def check_released(name: str, weights: str) -> None:
    """Check that released weights belong to the architecture that was chosen.

    Args:
        name: As backbone.name.
        weights: As backbone.weights; whatever names no released encoder passes.

    Raises:
        PipelineError: They belong to another one.
    """
    encoder, _ = encoder_of(weights)
    if encoder is not None and encoder.architecture != name:
        raise PipelineError(
            f"params.yaml: backbone.weights: {weights.partition(':')[0]} belongs to the "
            f"architecture {encoder.architecture}, but backbone.name is {name}. Set backbone.name: "
            f"{encoder.architecture}"
        )


def released_tensors(encoder: Encoder, path: Path) -> Tensors:
    """The encoder's tensors in a checkpoint, without what wrappers added to their names.

    Raises:
        PipelineError: The file is missing, damaged, or laid out otherwise than the released one.
    """
    if not path.is_file():
        raise PipelineError(
            f"params.yaml: backbone.weights: the file {path} does not exist. Fetch it from "
            f"{encoder.url or encoder.page}."
        )
    content = content_of(path)
    found = _first_there(content, encoder.paths)
    if found is None:
        listed = ", ".join(map(str, content)) if isinstance(content, dict) else type(content)
        raise PipelineError(
            f"{path}: expected the tensors below {_as_text(encoder.paths)}, found {listed}. Is "
            f"this the file of {encoder.page}?"
        )
    prefix = re.compile(f"^(?:{'|'.join(map(re.escape, encoder.prefixes)) or '(?!)'})+")
    tensors = {}
    for key, value in found.items():
        plain = prefix.sub("", str(key))
        if torch.is_tensor(value) and not plain.startswith(encoder.ignored):
            for old, new in encoder.renames:
                plain = plain.replace(old, new)
            tensors[plain] = value
    return tensors


def fetched(encoder: Encoder, weights: str) -> Path:
    """The file of a released encoder, in torch's cache; downloaded once.

    Raises:
        PipelineError: It cannot be had here; says from where, and how to name the file then.
    """
    how = (
        f"Fetch it from {encoder.url or encoder.page}, put it anywhere and write "
        f'backbone.weights: "{weights}:/path/to/the/file".'
    )
    if encoder.url is None:
        raise PipelineError(f"backbone.weights: {weights} cannot be fetched by a program. {how}")
    path = Path(torch.hub.get_dir()) / "checkpoints" / f"{weights}-{Path(encoder.url).name}"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(encoder.url, str(path))
        except (OSError, RuntimeError) as error:
            raise PipelineError(
                f"backbone.weights: {weights} could not be fetched ({error}). {how}"
            ) from None
    return path


def _first_there(content: Any, paths: tuple[tuple[str, ...], ...]) -> dict[str, Any] | None:
    for path in paths:
        found = content
        for key in path:
            found = found.get(key) if isinstance(found, dict) else None
        if isinstance(found, dict):
            return found
    return None


def _as_text(paths: tuple[tuple[str, ...], ...]) -> str:
    return " or ".join(".".join(path) or "the top" for path in paths)
