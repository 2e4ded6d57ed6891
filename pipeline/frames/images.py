"""Containers of single images, in place of frames of videos, through the store."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.atomic import write_text
from pipeline.code_identity import code_hash, library_versions
from pipeline.errors import PipelineError
from pipeline.frame_store import FrameFile, Samples, write_frames
from pipeline.frames import image_file
from pipeline.frames.image_file import picture_in
from pipeline.frames.params import FramesParams
from pipeline.frames.picture import Picture
from pipeline.progress import Progress
from pipeline.result_store import Store, fingerprint
from pipeline.runtime import read_runtime
from pipeline.settings import read_value
from pipeline.tables import write_table

# Attribute of a container: samples that it lacks, because their files are damaged, and why.
_DAMAGED = "damaged"


def write_images(images: pd.DataFrame, params: FramesParams, output: Path) -> str:
    """Take the containers that are in the store, make the others, fill the output folder.

    Args:
        images: The rows of images.csv.
        params: The section `frames`; fps and decoder are of videos.
        output: Folder of containers.

    Returns:
        One line for the terminal.

    Raises:
        PipelineError: Files are damaged and frames.on_error is `stop`, after all others were done;
            or no image of a container can be read; or the disk is full.
    """
    root, runtime = Path(read_value("data.root", str)), read_runtime()
    recipe, store = _recipe(params), Store("frames")
    containers = {str(name): rows for name, rows in images.groupby("video", sort=False)}
    names = {
        name: fingerprint(images=list(rows["sha256"]), recipe=recipe)
        for name, rows in containers.items()
    }
    missing = [name for name in containers if not store.has(names[name])]
    with (
        Progress("images", len(missing), runtime.progress) as progress,
        ThreadPoolExecutor(runtime.worker_count) as pool,
    ):
        for name in missing:
            paths = [root / path for path in containers[name]["path"]]
            note = "from another run"
            with store.claimed(names[name]) as still:
                if still:
                    note = _write(paths, params, store.path(names[name]), names[name], pool)
            progress.step(name, note)
    damaged: list[tuple[str, str]] = []
    for name, rows in containers.items():
        container = output / f"{name}.h5"
        store.fill(names[name], container, labels={"video": name})
        with FrameFile(container) as file:
            for sample, reason in json.loads(file.attributes[_DAMAGED]):
                # By its path: an image may be called train_000, as a container is.
                path = str(rows.iloc[sample]["path"])
                damaged.append((path, f"{root / path}: {reason}"))
    if damaged and params.on_error == "stop":
        listed = "\n".join(f"  {reason}" for _, reason in damaged)
        raise PipelineError(
            f"{len(damaged)} of {len(images)} images cannot be read; the others are done and "
            f"kept:\n{listed}\nMend, replace or remove these files, or set frames.on_error: skip, "
            "which leaves them out and says so in the report."
        )
    write_table(pd.DataFrame(damaged, columns=["video", "reason"]), output / "skipped.csv")
    write_table(pd.DataFrame(columns=["video", "lost", "samples"]), output / "masked.csv")
    content = recipe | {"on_error": params.on_error}
    write_text(output / "recipe.json", json.dumps(content, indent=2, sort_keys=True) + "\n")
    note = f", {len(damaged)} damaged images skipped" if damaged else ""
    return (
        f"{output}: {len(images)} images in {len(containers)} containers, {len(missing)} made{note}"
    )


def _recipe(params: FramesParams) -> dict[str, Any]:
    """All that decides the picture of an image besides its file."""
    return {
        "fps": "1",
        "short_side": params.short_side,
        "crop_borders": params.crop_borders,
        "quality": params.quality,
        "decoder": "pillow",
        "libraries": library_versions("pillow", "opencv-python-headless"),
        "code": code_hash(image_file),
    }


def _write(
    paths: list[Path], params: FramesParams, target: Path, name: str, pool: ThreadPoolExecutor
) -> str:
    """Write a container; a note for the terminal."""
    found = list(pool.map(lambda path: _read(path, params), paths))
    pictures = [(k, picture) for k, picture in enumerate(found) if isinstance(picture, Picture)]
    damaged = [(k, reason) for k, reason in enumerate(found) if isinstance(reason, str)]
    if not pictures:
        raise PipelineError(f"{paths[0]}: {damaged[0][1]}; nor can any image beside it be read.")
    times = np.array([k for k, _ in pictures], dtype=np.float64)
    samples = Samples(np.arange(len(pictures))[:, None], times)
    attributes = {
        "fps": 1.0,
        "height": min(picture.height for _, picture in pictures),
        "width": min(picture.width for _, picture in pictures),
        "quality": params.quality,
        "decoder": "pillow",
        "fingerprint": name,
        _DAMAGED: json.dumps(damaged),
    }
    frames = ((picture.jpeg, float(k)) for k, picture in pictures)
    write_frames(target, frames, attributes, samples)
    return f"{len(pictures)} images" + (f", {len(damaged)} DAMAGED" if damaged else "")


def _read(path: Path, params: FramesParams) -> Picture | str:
    """The picture of a file, or why it has none."""
    try:
        return picture_in(path, params)
    except PipelineError as error:
        return str(error)
