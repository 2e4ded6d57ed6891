"""All that leads from a raw video to its features, to be kept beside them and in trained models.

It names things (a weights' file, a seed, what becomes of damaged videos) that decide nothing, so
the store does not keep it: it is written when the store fills the output.
"""

import json
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from pipeline.code_identity import library_versions
from pipeline.features.identity import LIBRARIES
from pipeline.features.params import FeaturesParams

# Of the section `frames`, beside fps.
_FRAMES_PARAMS = ("short_side", "crop_borders", "quality", "decoder", "on_error")


def labels_of(
    video: str,
    frames: Mapping[str, Any],
    params: FeaturesParams,
    header: Mapping[str, Any],
    int8: Sequence[Mapping[str, Any]] = (),
) -> dict[str, str]:
    """What a features file is given when it is put in the output.

    Args:
        video: Identifier.
        frames: How the frames were taken, from read_frames_recipe.
        params: The section `features`.
        header: Of models/backbone.safetensors.
        int8: The scales of each network, from kept_scales; none in other precisions.
    """
    recipe: dict[str, Any] = {
        "frames": _section(frames),
        "features": params.model_dump(),
        "backbone": dict(header),
        "libraries": {
            "frames": frames.get("libraries", {}),
            "features": library_versions(*LIBRARIES),
        },
    }
    if int8:
        recipe["int8"] = list(int8)
    return {
        "video": video,
        "weights": str(header["weights"]),
        "recipe": json.dumps(recipe, sort_keys=True),
    }


def read_frames_recipe(folder: Path) -> dict[str, Any]:
    """How the containers of a folder were made; empty where they came from elsewhere."""
    path = folder / "recipe.json"
    if not path.is_file():
        return {}
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _section(frames: Mapping[str, Any]) -> dict[str, Any]:
    """The section `frames` of params.yaml behind a recipe, as people write it."""
    if not frames:
        return {}
    # Frames of clips are stored more densely than samples lie.
    rate = frames.get("sample_fps", frames["fps"])
    fps = Fraction(rate)
    # 2, 0.5, and a fraction only where nothing shorter is exact.
    decimal = float(fps)
    written: int | float | str = rate
    if Fraction(str(decimal)) == fps:
        written = int(decimal) if decimal.is_integer() else decimal
    return {"fps": written} | {name: frames[name] for name in _FRAMES_PARAMS}
