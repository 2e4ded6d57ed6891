"""The backbone stage: pins the weights of the CNN in models/backbone.safetensors."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torchvision

from pipeline.backbone.params import BackboneParams
from pipeline.backbone.weights import file_weights, random_weights, torchvision_weights
from pipeline.checkpoint import save_checkpoint
from pipeline.networks.cnn import feature_size, transform_of
from pipeline.result_store import file_hash
from pipeline.seeding import derived_seed
from pipeline.settings import read_section, read_value

BACKBONE = Path("models/backbone.safetensors")


def run(output: Path = BACKBONE) -> str:
    """Read or fetch the weights, and write them with all that the features stage needs.

    Returns:
        One line for the terminal.

    Raises:
        PipelineError: No such weights, or they belong to another architecture.
    """
    params = read_section(BackboneParams, "backbone")
    header: dict[str, Any] = {"name": params.name, "feature_size": feature_size(params.name)}
    # Files and random weights bring no transform of their own: that of torchvision's first weights
    # for the architecture, which is also what most published training code uses.
    first = next(iter(torchvision.models.get_model_weights(params.name)))
    transform = transform_of(first.transforms())
    path = Path(params.weights)
    if params.weights == "random":
        seed = read_value("seed", int)
        tensors = random_weights(params.name, derived_seed(seed, "backbone"))
        header |= {"weights": "random", "seed": seed}
    elif path.suffix in (".pth", ".pt", ".safetensors"):
        tensors = file_weights(params.name, path)
        # The name without its folder: paths differ from machine to machine, the hash does not.
        header |= {"weights": path.name, "weights_sha256": file_hash(path)}
    else:
        tensors, transform = torchvision_weights(params.name, params.weights)
        header |= {"weights": params.weights}
    header["transform"] = asdict(transform)
    save_checkpoint(output, tensors, header)
    return f"{output}: {params.name}, weights {header['weights']}, {header['feature_size']}-d"
