"""Initial weights by name, from a file or from a seed, checked against the architecture."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file

from pipeline.errors import PipelineError
from pipeline.networks.backbones import build_backbone, family_of
from pipeline.networks.backbones.transform import Transform
from pipeline.result_store import file_hash
from pipeline.seeding import derived_seed

Tensors = dict[str, torch.Tensor]

_PREFIX = re.compile(r"^(?:(?:module|backbone|model)\.)+")
# Wrappers of whole training states in the wild: {"state_dict": ...}, {"model": ...}.
_WRAPPERS = ("state_dict", "model_state_dict", "model")
_FILES = (".pth", ".pt", ".safetensors")
# What torchvision, timm and many training scripts call the classifier, whatever the family.
_CLASSIFIERS = ("fc.", "classifier.", "head.")


@dataclass(frozen=True)
class InitialWeights:
    """Weights before any training, and what is known of them.

    Attributes:
        tensors: Of the network, without classifier.
        dim: Length of the feature vector.
        transform: What they expect of an image.
        source: Where they come from, for the header of models/backbone.safetensors.
    """

    tensors: Tensors
    dim: int
    transform: Transform
    source: dict[str, Any]


def initial_weights(name: str, weights: str, seed: int) -> InitialWeights:
    """The weights that `backbone.weights` names.

    Args:
        name: Of the backbone.
        weights: `random`, the path of a file, or the name of published weights.
        seed: Of the run, for random weights.

    Raises:
        PipelineError: There are no such weights, or they belong to another architecture.
    """
    with torch.device("meta"):  # no memory, no numbers
        backbone = build_backbone(name)
    # For weights that bring none: that of the first published ones, as most training code uses.
    transform = backbone.transform
    path = Path(weights)
    if weights == "random":
        tensors = random_weights(name, derived_seed(seed, "backbone"))
        source: dict[str, Any] = {"weights": "random", "seed": seed}
        if not tensors:
            source = {"weights": "none"}
    elif path.suffix in _FILES:
        tensors = file_weights(name, path)
        transform = file_transform(name, path) or transform
        # The name without its folder: paths differ from machine to machine, the hash does not.
        source = {"weights": path.name, "weights_sha256": file_hash(path)}
    else:
        tensors, transform = published_weights(name, weights)
        source = {"weights": weights}
    return InitialWeights(tensors, backbone.dim, transform, source)


def random_weights(name: str, seed: int) -> Tensors:
    """The family's own initialisation, drawn from a seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return dict(build_backbone(name).network.state_dict())


def published_weights(name: str, weights: str) -> tuple[Tensors, Transform]:
    """Pretrained weights by name, downloaded once and checked by their hash.

    Returns:
        The tensors without the classifier, and the transform they were trained with.

    Raises:
        PipelineError: The family has no such weights, or they could not be fetched.
    """
    published = family_of(name).published(name.partition("@")[0])
    entry = published.get(weights.rpartition(".")[2])
    if entry is None:
        raise PipelineError(
            f"params.yaml: backbone.weights: found {weights!r}. Allowed for {name}: "
            f"{', '.join([*published, ''])}a file ({', '.join(_FILES)}), or random."
        )
    try:
        tensors = entry.fetch()
    except (OSError, RuntimeError) as error:
        raise PipelineError(
            f"backbone.weights {weights}: could not be fetched from {entry.url} ({error}). "
            f"On a machine without network, put that file anywhere and name its path in "
            f"backbone.weights."
        ) from None
    return fit_to(name, tensors, weights), entry.transform


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
    backbone = build_backbone(name)
    classifiers = (*backbone.classifier_keys, *_CLASSIFIERS)
    expected = backbone.network.state_dict()
    plain = backbone.translate({_PREFIX.sub("", key): value for key, value in tensors.items()})
    found = {
        key: value
        for key, value in plain.items()
        if key in expected or not key.startswith(classifiers)
    }
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
