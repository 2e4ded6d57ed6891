"""Weights of a CNN by name, from a file or from a seed, checked against the architecture."""

import json
import re
from pathlib import Path
from typing import Any

import torch
import torchvision
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file

from pipeline.errors import PipelineError
from pipeline.networks.backbones.cnn import build_cnn, classifier_of, transform_of
from pipeline.networks.backbones.transform import Transform

Tensors = dict[str, torch.Tensor]

_PREFIX = re.compile(r"^(?:(?:module|backbone|model)\.)+")
# Wrappers of whole training states in the wild: {"state_dict": ...}, {"model": ...}.
_WRAPPERS = ("state_dict", "model_state_dict", "model")
_FILES = (".pth", ".pt", ".safetensors")


def random_weights(name: str, seed: int) -> Tensors:
    """Torchvision's own initialisation, drawn from a seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return dict(build_cnn(name).state_dict())


def torchvision_weights(name: str, weights: str) -> tuple[Tensors, Transform]:
    """Pretrained weights by name, downloaded once by torchvision and checked by their hash.

    Returns:
        The tensors without the classifier, and the transform they were trained with.

    Raises:
        PipelineError: torchvision has no such weights, or they could not be fetched.
    """
    available = torchvision.models.get_model_weights(name)
    try:
        entry = available[weights.rpartition(".")[2]]
    except KeyError:
        raise PipelineError(
            f"params.yaml: backbone.weights: found {weights!r}. Allowed for {name}: "
            f"{', '.join(list(available.__members__))}, "
            f"a file ({', '.join(_FILES)}), or random."
        ) from None
    try:
        tensors = entry.get_state_dict(progress=True, check_hash=True)
    except (OSError, RuntimeError) as error:
        raise PipelineError(
            f"backbone.weights {weights}: could not be fetched from {entry.url} ({error}). "
            f"On a machine without network, put that file anywhere and name its path in "
            f"backbone.weights."
        ) from None
    return fit_to(name, tensors, weights), transform_of(entry.transforms())


def file_weights(name: str, path: Path) -> Tensors:
    """Weights from a .pth, .pt or .safetensors file, without the classifier.

    Raises:
        PipelineError: The file is missing, unreadable, or of another architecture.
    """
    if not path.is_file():
        raise PipelineError(
            f"params.yaml: backbone.weights: the file {path} does not exist. Give the path of a "
            f"file ({', '.join(_FILES)}), a torchvision weight such as IMAGENET1K_V2, or random."
        )
    try:
        if path.suffix == ".safetensors":
            content: Any = load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except SafetensorError as error:
        raise PipelineError(f"{path}: not a whole safetensors file ({error}).") from None
    except Exception as error:  # torch.load raises half a dozen kinds
        raise PipelineError(
            f"{path}: cannot be read as plain tensors ({type(error).__name__}). Files that hold "
            f"pickled objects are refused; save its state_dict() to a .safetensors file instead."
        ) from None
    for wrapper in _WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    if not isinstance(content, dict):
        raise PipelineError(f"{path}: expected a state_dict, found {type(content).__name__}.")
    tensors = {str(key): value for key, value in content.items() if torch.is_tensor(value)}
    return fit_to(name, tensors, str(path))


def file_transform(name: str, path: Path) -> Transform | None:
    """The transform of weights that this project wrote for this architecture; else None."""
    if path.suffix != ".safetensors":
        return None
    with safe_open(str(path), framework="pt") as file:
        header = json.loads((file.metadata() or {}).get("pipeline", "{}"))
    if header.get("name") != name or "transform" not in header:
        return None
    return Transform(**header["transform"])


def fit_to(name: str, tensors: Tensors, source: str) -> Tensors:
    """Tensors under the names of the architecture, without prefixes and classifier.

    Raises:
        PipelineError: A tensor is missing, left over, or of another shape; lists them.
    """
    # `head` is what timm and many training scripts call the classifier.
    classifiers = (f"{classifier_of(name)}.", "fc.", "classifier.", "head.")
    plain = {_PREFIX.sub("", key): value for key, value in tensors.items()}
    found = {key: value for key, value in plain.items() if not key.startswith(classifiers)}
    expected = build_cnn(name).state_dict()
    for key, value in expected.items():
        # Counts batches during training only; files from before 2018 do not have it.
        if key.endswith("num_batches_tracked"):
            found.setdefault(key, value)
    missing = [key for key in expected if key not in found]
    unexpected = [key for key in found if key not in expected]
    shapes = [
        f"{key} {tuple(found[key].shape)} instead of {tuple(value.shape)}"
        for key, value in expected.items()
        if key in found and found[key].shape != value.shape
    ]
    if missing or unexpected or shapes:
        lines = [
            f"  {title} ({len(names)}): {_listed(names)}"
            for title, names in (
                ("missing", missing),
                ("unexpected", unexpected),
                ("other shape", shapes),
            )
            if names
        ]
        raise PipelineError(
            f"{source}: these are not weights of {name}.\n" + "\n".join(lines) + "\n"
            "Set backbone.name to the architecture they belong to, or rename the tensors."
        )
    return {key: found[key].to(expected[key].dtype) for key in expected}


def _listed(names: list[str], most: int = 12) -> str:
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest
