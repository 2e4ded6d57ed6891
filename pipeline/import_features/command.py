"""Other programs' features, written as the layout mstcn has them: features/<video>.npy."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.atomic import replacing
from pipeline.errors import PipelineError
from pipeline.import_features.sources import arrays_in


def import_features(
    source: Path,
    out: Path,
    key: str | None = None,
    videos: Path | None = None,
    say: Callable[[str], None] = print,
) -> str:
    """Write (D, T) float arrays into out/features, one video in memory at a time.

    Pickles, and files of torch's old format, come into memory as a whole.

    Args:
        source: A file or a folder; sources.py says how they are read.
        out: The folder. Where its groundTruth/<video>.txt lies already, the axis whose length is
            that of the labels is time; else arrays are taken for frames by features.
        key: The name of the array, or of the group of arrays, in each file.
        videos: Which videos lie end to end in one array, or in a list: `video,frames`.
        say: Takes a line per video.

    Returns:
        One line for the terminal.

    Raises:
        PipelineError: Arrays hold NaN, two videos have one name, a name leads elsewhere, or
            another array is there already; lists them, after all others were written.
    """
    seen: dict[str, str] = {}
    problems: list[str] = []
    written = 0
    for video, where, array in arrays_in(source, key, videos):
        problem = _wrong_name(video, seen) or _wrong_values(array)
        seen.setdefault(video, where)
        if problem:
            problems.append(f"{where}: {problem}")
            continue
        by_time, how = _by_time(array, out / "groundTruth" / f"{video}.txt")
        target = out / "features" / f"{video}.npy"
        dtype = np.float16 if array.dtype == np.float16 else np.float32
        features = np.ascontiguousarray(by_time.T, dtype)
        if target.is_file():
            if not _holds(target, features):
                problems.append(f"{target}: holds other features of {video}; remove it first")
                continue
            say(f"{video}: is there already")
        else:
            with replacing(target) as partial, partial.open("wb") as file:
                np.save(file, features)
            written += 1
            say(f"{video}: {by_time.shape[0]} frames of {by_time.shape[1]} features, {how}")
    if problems:
        listed = "\n".join(f"  {problem}." for problem in problems)
        raise PipelineError(f"{len(problems)} of {source} not written, {written} were:\n{listed}")
    return (
        f"{out / 'features'}: {len(seen)} videos, {written} written. Add groundTruth/, mapping.txt "
        "and splits/, and set data.layout: mstcn and data.fps (docs/datasets.md)"
    )


def _wrong_name(video: str, seen: Mapping[str, str]) -> str:
    """Why no file can be named after a video, which a table or a file names; else nothing."""
    if not video or Path(video).name != video or "\0" in video:
        return f"found the name {video!r}, which no file can have"
    return f"a video of the name {video} came from {seen[video]} already" if video in seen else ""


def _wrong_values(array: NDArray[Any]) -> str:
    wrong = int((~np.isfinite(array)).sum())
    return f"{wrong} of {array.size} values are NaN or infinite" if wrong else ""


def _by_time(array: NDArray[Any], labels: Path) -> tuple[NDArray[Any], str]:
    """The array as (T, D), and how it was known which axis is time."""
    if not labels.is_file():
        return array, "taken for frames by features: no labels to compare with"
    count = len(labels.read_text(encoding="utf-8-sig").splitlines())
    apart = [abs(length - count) for length in array.shape]
    if apart[1] < apart[0]:
        return array.T, f"turned, by its {count} labels"
    return array, f"by its {count} labels"


def _holds(path: Path, features: NDArray[Any]) -> bool:
    try:
        return np.array_equal(np.load(path, mmap_mode="r", allow_pickle=False), features)
    except (ValueError, EOFError, OSError):
        return False
