"""All that leads from a raw video to its features, to be kept beside them and in trained models.

It names things (the weights' file, the seed) that decide nothing, so it is no part of what the
store keeps: it is written when the store fills the output.
"""

import json
from pathlib import Path
from typing import Any

from pipeline.code_identity import library_versions
from pipeline.errors import PipelineError
from pipeline.features.identity import LIBRARIES
from pipeline.features.params import FeaturesParams

# Whether damaged videos are left out changes no frame of those that are there.
_NOT_OF_A_VIDEO = {"on_error"}


def recipe(frames: Path, params: FeaturesParams, header: dict[str, Any]) -> str:
    """JSON of how frames were taken, the section `features`, and the backbone's header.

    Args:
        frames: The folder of containers; its recipe.json says how frames were taken.
        params: The section `features`.
        header: Of models/backbone.safetensors.

    Raises:
        PipelineError: There is no recipe of the frames.
    """
    path = frames / "recipe.json"
    try:
        taken = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PipelineError(f"{path}: not found. `dvc repro frames` makes it.") from None
    content = {
        "frames": {key: value for key, value in taken.items() if key not in _NOT_OF_A_VIDEO},
        "features": params.model_dump() | {"libraries": library_versions(*LIBRARIES)},
        "backbone": header,
    }
    return json.dumps(content, sort_keys=True)
