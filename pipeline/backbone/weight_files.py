"""Files of weights: what is in them, without running any of it."""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file

from pipeline.errors import PipelineError
from pipeline.networks.backbones.contract import Tensors
from pipeline.networks.backbones.transform import Transform
from pipeline.networks.backbones.transform_record import read_transform

SUFFIXES = (".pth", ".pt", ".safetensors")
# Wrappers of whole training states in the wild: {"state_dict": ...}, {"model": ...}; "model_state"
# is PyTorchVideo's, "teacher" that of DINO and Endo-FM, "encoder" V-JEPA's, "module" VideoMAE's.
_WRAPPERS = (
    *("state_dict", "model_state_dict", "model_state", "model"),
    *("teacher", "encoder", "module"),
)
# What training states hold beside their tensors, and what runs no code when it is read: options
# of a command line, losses and scores. numpy 1 called a scalar otherwise.
_SCALAR = np.float64().__reduce__()[0]
_HARMLESS: list[Any] = [
    argparse.Namespace,
    np.dtype,
    *(type(np.dtype(kind)) for kind in ("f8", "f4", "i8", "i4", "b1")),
    _SCALAR,
    (_SCALAR, "numpy.core.multiarray.scalar"),
]


def content_of(path: Path) -> Any:
    """What a .safetensors file, or any file of torch.save, holds: tensors, and containers of them.

    Raises:
        PipelineError: It is damaged, or holds objects, which only a pickle's code could rebuild.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with torch.serialization.safe_globals(_HARMLESS):
            return torch.load(path, map_location="cpu", weights_only=True)
    except SafetensorError as error:
        raise PipelineError(f"{path}: not a whole safetensors file ({error}).") from None
    except Exception as error:  # torch.load raises half a dozen kinds
        raise PipelineError(
            f"{path}: cannot be read as plain tensors ({type(error).__name__}). Files that hold "
            "pickled objects are refused, because reading them runs their code. If you trust this "
            "one, convert it on a machine that may run it: torch.save({k: v for k, v in "
            "torch.load(path, weights_only=False)['state_dict'].items()}, 'weights.pth'), with the "
            "key under which its state_dict() stands."
        ) from None


def plain_tensors(content: Any, path: Path) -> Tensors:
    """The tensors of a file's content, out of the usual wrappers.

    Raises:
        PipelineError: It is no dictionary.
    """
    for wrapper in _WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    if not isinstance(content, dict):
        raise PipelineError(f"{path}: expected a state_dict, found {type(content).__name__}.")
    return {str(key): value for key, value in content.items() if torch.is_tensor(value)}


def file_transform(name: str, path: Path) -> Transform | None:
    """The transform of weights that this project wrote for this architecture; else None."""
    if path.suffix != ".safetensors":
        return None
    with safe_open(str(path), framework="pt") as file:
        header = json.loads((file.metadata() or {}).get("pipeline", "{}"))
    if header.get("name") != name or "transform" not in header:
        return None
    return read_transform(header["transform"])
