"""What decides the features of a video, and what merely names them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import torch

from pipeline.checkpoint import tensors_hash
from pipeline.code_identity import code_hash, library_versions
from pipeline.features import build
from pipeline.features.params import FeaturesParams
from pipeline.networks.backbones import build_backbone, family_of
from pipeline.networks.backbones.transform import Transform
from pipeline.networks.cost import image_cost
from pipeline.result_store import fingerprint

_LIBRARIES = ("torch", "torchvision", "opencv-python-headless")
_OF_FRAMES = ("short_side", "crop_borders", "quality", "decoder", "on_error")


def fingerprints_of(
    frames: Mapping[Path, str],
    weights_hash: str,
    header: Mapping[str, Any],
    params: FeaturesParams,
    quantised_on: Sequence[Path],
) -> dict[Path, str]:
    """The fingerprint of each video's features.

    Neither the name of a video or of a weights file nor a backbone of another family is part of it.

    Args:
        frames: Fingerprint of the frames in each container.
        weights_hash: Of the backbone's tensors.
        header: Of models/backbone.safetensors.
        params: The section `features`.
        quantised_on: Containers whose frames decide the scales of int8, else none.
    """
    family = cast(ModuleType, family_of(header["name"]))
    decides = {
        "weights": weights_hash,
        "backbone": header["name"],
        "transform": asdict(Transform(**header["transform"]).cropped(params.crop)),
        "params": params.model_dump(exclude={"crop"}),
        "quantised_on": [frames[path] for path in quantised_on],
        "code": code_hash(build, family),
        "libraries": library_versions(*_LIBRARIES),
    }
    return {container: fingerprint(frames=name, **decides) for container, name in frames.items()}


def attributes_of(
    tensors: Mapping[str, torch.Tensor], header: Mapping[str, Any], params: FeaturesParams
) -> dict[str, Any]:
    """What every file says of its making, but for what `labels_of` puts on later."""
    crop_px = Transform(**header["transform"]).cropped(params.crop).crop_px
    with torch.device("meta"):  # shapes alone decide the cost
        cost = image_cost(build_backbone(header["name"]).network.eval(), crop_px)
    return {
        "weights_hash": tensors_hash(tensors),
        "precision": params.precision,
        "jpeg_decoder": params.decoder,
        "torch": str(torch.__version__),
        "crop": crop_px,
        "backbone_parameters": cost.parameters,
        "backbone_flops_per_frame": cost.flops_per_frame,
    }


def labels_of(
    video: str, header: Mapping[str, Any], params: FeaturesParams, frames: Path
) -> dict[str, str]:
    """Names, and the parameters that lead from a raw video to these features.

    They decide nothing beyond the fingerprint, so they are put on when the store fills the output.

    Args:
        video: Identifier.
        header: Of models/backbone.safetensors.
        params: The section `features`.
        frames: Folder of the containers, with the recipe of the frames stage.
    """
    recipe = {
        "frames": _frames_params(frames / "recipe.json"),
        "features": params.model_dump(),
        "backbone": header.get("params", {}),
    }
    return {
        "video": video,
        "backbone": header["name"],
        "weights": header["weights"],
        "recipe": json.dumps(recipe, sort_keys=True),
    }


def _frames_params(path: Path) -> dict[str, Any]:
    """The section `frames` that made the containers; empty where they came from elsewhere."""
    if not path.is_file():
        return {}
    content = json.loads(path.read_text(encoding="utf-8"))
    fps = Fraction(content["fps"])
    # As people write it: 2, 0.5, and as a fraction only where nothing shorter is exact.
    decimal = float(fps)
    written: int | float | str = content["fps"]
    if Fraction(str(decimal)) == fps:
        written = int(decimal) if decimal.is_integer() else decimal
    return {"fps": written} | {name: content[name] for name in _OF_FRAMES}
