"""The videos or images that a command line names: files, folders and patterns."""

import glob
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from pipeline.errors import PipelineError
from pipeline.index.layouts.image_files import IMAGE_ENDINGS, images_below

ENDINGS = frozenset(
    {
        *(".avi", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg"),
        *(".mpg", ".mts", ".mxf", ".ts", ".vob", ".webm", ".wmv"),
    }
)
"""Files of a folder that are taken for videos; a file that is named is taken as it is."""


def find_videos(asked: Sequence[str]) -> list[Path]:
    """The files, in the order in which they were asked for, each once.

    Args:
        asked: Files, folders (with what lies in their folders) and patterns such as "op*.mp4".

    Raises:
        PipelineError: One names nothing, or two videos would write to the same files.
    """
    found: dict[Path, Path] = {}
    for text in asked:
        path = Path(text)
        if path.is_file():
            here = [path]
        elif path.is_dir():
            here = sorted(p for p in path.rglob("*") if p.suffix.lower() in ENDINGS and p.is_file())
        else:
            here = [Path(p) for p in sorted(glob.glob(text, recursive=True)) if Path(p).is_file()]
        if not here:
            what = "a folder without videos" if path.is_dir() else "no such file"
            raise PipelineError(
                f"{text}: {what}. Name videos, folders of videos or a pattern such as 'op*.mp4'. "
                f"In folders these endings count: {' '.join(sorted(ENDINGS))}"
            )
        found |= {path.resolve(): path for path in here}
    counts = Counter(path.stem for path in found.values())
    twice = next((path for path in found.values() if counts[path.stem] > 1), None)
    if twice is not None:
        same = ", ".join(str(path) for path in found.values() if path.stem == twice.stem)
        raise PipelineError(
            f"{same}: would all be written to {twice.stem}.csv. Predict them in calls of their "
            "own, each with another --out."
        )
    return list(found.values())


def find_images(asked: Sequence[str]) -> dict[str, Path]:
    """The files by what they are called: their path below the folder that was asked for.

    Args:
        asked: Files, folders (with what lies in their folders) and patterns such as "slide*.png".

    Raises:
        PipelineError: One names nothing, or two images would be called alike.
    """
    found: dict[str, Path] = {}
    for text in asked:
        path = Path(text)
        if path.is_dir():
            here = {image.relative_to(path).as_posix(): image for image in images_below(path)}
        else:
            files = [path] if path.is_file() else map(Path, sorted(glob.glob(text, recursive=True)))
            here = {file.as_posix(): file for file in files if file.is_file()}
        if not here:
            what = "a folder without images" if path.is_dir() else "no such file"
            raise PipelineError(
                f"{text}: {what}. These models are of single images: name images, folders of "
                "images or a pattern such as 'slide*.png'. In folders these endings count: "
                f"{' '.join(sorted(IMAGE_ENDINGS))}"
            )
        twice = sorted(name for name in here if found.get(name, here[name]) != here[name])
        if twice:
            raise PipelineError(
                f"{found[twice[0]]}, {here[twice[0]]}: would both be called {twice[0]} in the "
                "table. Predict these folders in calls of their own, each with another --out."
            )
        found |= here
    return found
