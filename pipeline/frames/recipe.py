"""What makes frames out of any video: parameters, libraries and code, but no video."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.atomic import write_text
from pipeline.code_identity import code_hash, library_versions
from pipeline.frames import extract
from pipeline.frames.decode import has_decord
from pipeline.frames.params import FramesParams


def recipe(params: FramesParams) -> dict[str, Any]:
    """All that decides the frames of a video besides its content.

    Which decoder reads a file follows from these and the file. `on_error` is left out: it changes
    nothing in a video that is whole.
    """
    libraries = ["av", "opencv-python-headless"]
    decord = params.decoder == "decord" and has_decord()
    return {
        "fps": str(params.rate),
        "short_side": params.short_side,
        "crop_borders": params.crop_borders,
        "quality": params.quality,
        "decoder": "decord" if decord else "pyav",
        "libraries": library_versions(*libraries, *(["decord"] if decord else [])),
        "code": code_hash(extract),
    }


def write_recipe(params: FramesParams, clips: Mapping[str, Any], path: Path) -> None:
    """Write recipe.json, which stands for the frames of all videos.

    The backbone stage depends on it in place of the folder: with the hashes of the videos that it
    uses, from data/index, it says what their frames are.

    Args:
        params: The section `frames`, with the rate at which frames are stored.
        clips: `sample_fps` and `clip` where they are stored for clips (clips.py), else empty.
        path: Of the file.
    """
    content = recipe(params) | {"on_error": params.on_error} | dict(clips)
    write_text(path, json.dumps(content, indent=2, sort_keys=True) + "\n")
