"""Initial weights by name, from a file or from a seed, checked against the architecture."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pipeline.backbone.fitting import fit_to
from pipeline.backbone.released import check_released, fetched, released_tensors
from pipeline.backbone.weight_files import SUFFIXES, content_of, file_transform, plain_tensors
from pipeline.errors import PipelineError
from pipeline.networks.backbones import build_backbone, family_of
from pipeline.networks.backbones.contract import Tensors
from pipeline.networks.backbones.surgical import ENCODERS, Encoder, encoder_of
from pipeline.networks.backbones.transform import Transform
from pipeline.result_store import file_hash
from pipeline.seeding import derived_seed


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
        weights: `random`, the path of a file, the name of published weights, or a released
            surgical encoder, alone or before the path of its file.
        seed: Of the run, for random weights.

    Raises:
        PipelineError: There are no such weights, or they belong to another architecture.
    """
    with torch.device("meta"):  # no memory, no numbers
        backbone = build_backbone(name)
    # For weights that bring none: that of the first published ones, as most training code uses.
    transform = backbone.transform
    path = Path(weights)
    encoder, _ = encoder_of(weights)
    if weights == "random":
        tensors = random_weights(name, derived_seed(seed, "backbone"))
        source: dict[str, Any] = {"weights": "random", "seed": seed}
        if not tensors:
            source = {"weights": "none"}
    elif encoder is not None:
        tensors, source = released_weights(name, weights)
        transform = encoder.transform
    elif path.suffix in SUFFIXES:
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


def released_weights(name: str, weights: str) -> tuple[Tensors, dict[str, Any]]:
    """Weights of a released surgical encoder, from its file or fetched.

    Args:
        name: Of the backbone.
        weights: `lemonfm`, or `lemonfm:/path/file.pth`.

    Returns:
        The tensors, and where they come from, with their licence and what they have seen.

    Raises:
        PipelineError: They belong to another architecture, cannot be had, or do not fit.
    """
    check_released(name, weights)
    released, _, given = weights.partition(":")
    encoder: Encoder = ENCODERS[released]
    path = Path(given) if given else fetched(encoder, released)
    tensors = fit_to(name, released_tensors(encoder, path), str(path))
    return tensors, {
        "weights": released,
        "weights_sha256": file_hash(path),
        "weights_page": encoder.page,
        "weights_licence": encoder.licence,
        "weights_leak": encoder.leak,
    }


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
        released = [key for key, encoder in ENCODERS.items() if encoder.architecture == name]
        raise PipelineError(
            f"params.yaml: backbone.weights: found {weights!r}. Allowed for {name}: "
            f"{', '.join([*published, *released, ''])}a file ({', '.join(SUFFIXES)}), or random."
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
            f"file ({', '.join(SUFFIXES)}), a torchvision weight such as IMAGENET1K_V2, or random."
        )
    return fit_to(name, plain_tensors(content_of(path), path), str(path))
