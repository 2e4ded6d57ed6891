"""The library transformers where it is installed, and weights on the Hugging Face hub."""

from functools import partial
from typing import Any

from safetensors.torch import load_file

from pipeline.networks.backbones.contract import PublishedWeights, Tensors
from pipeline.networks.backbones.extra import library
from pipeline.networks.backbones.transform import Transform

EXTRA = "hf"
_FILE = "model.safetensors"


def transformers_module(name: str) -> Any:
    """A module of transformers, imported when a network needs it.

    Args:
        name: Below `transformers.models`, such as `vivit.modeling_vivit`.

    Raises:
        PipelineError: The library is not installed; says how to install it.
    """
    module: Any = library(f"transformers.models.{name}", EXTRA)
    return module


def hub_weights(repository: str, transform: Transform, revision: str = "main") -> PublishedWeights:
    """Weights in a repository's one safetensors file; nothing is fetched.

    Args:
        repository: Owner and name.
        transform: What they expect of an image.
        revision: Where the file is: of some repositories it is a proposal not yet taken over.
    """
    return PublishedWeights(
        url=f"https://huggingface.co/{repository}/resolve/{revision}/{_FILE}",
        transform=transform,
        fetch=partial(_fetched, repository, revision),
    )


def _fetched(repository: str, revision: str) -> Tensors:
    hub = library("huggingface_hub", EXTRA)
    path: str = hub.hf_hub_download(repository, _FILE, revision=revision)
    return load_file(path)
