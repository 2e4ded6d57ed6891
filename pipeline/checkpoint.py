"""Weights with what is needed to rebuild their network: safetensors with a JSON header.

The header stands under one key, `pipeline`, of the format's own metadata. Never pickle.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from pipeline.atomic import replacing
from pipeline.errors import PipelineError


def save_checkpoint(path: Path, tensors: dict[str, torch.Tensor], header: dict[str, Any]) -> None:
    """Write tensors and header; the same content gives the same bytes."""
    text = json.dumps(header, sort_keys=True, allow_nan=False)
    content = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with replacing(path) as partial:
        save_file(content, str(partial), metadata={"pipeline": text})


def load_checkpoint(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """The tensors, on the CPU, and the header.

    Raises:
        PipelineError: The file is missing, damaged or not one of this project's.
    """
    if not path.is_file():
        raise PipelineError(f"{path}: not found. `dvc repro` makes it; run the earlier stages.")
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise PipelineError(f"{path}: not a whole safetensors file ({error}).") from None
    if "pipeline" not in metadata:
        raise PipelineError(
            f"{path}: has no `pipeline` header, so it was not written by this project. "
            "Foreign weights belong into backbone.weights."
        )
    return tensors, json.loads(metadata["pipeline"])


def read_header(path: Path) -> dict[str, Any]:
    """The header alone, without reading any tensor.

    Raises:
        PipelineError: As load_checkpoint.
    """
    if not path.is_file():
        raise PipelineError(f"{path}: not found. `dvc repro` makes it; run the earlier stages.")
    try:
        with safe_open(str(path), framework="pt") as file:
            return dict(json.loads((file.metadata() or {})["pipeline"]))
    except (SafetensorError, KeyError):
        raise PipelineError(f"{path}: no safetensors file of this project.") from None


def tensors_hash(tensors: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 over the names, types, shapes and values of tensors, in hexadecimal.

    It names weights in fingerprints: neither the order of the tensors nor a header field or the
    name of a file changes it.
    """
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
