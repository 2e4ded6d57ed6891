"""Files of features that other programs wrote, each as arrays by name."""

import csv
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import PipelineError
from pipeline.import_features.restricted_pickle import read_pickle

ENDINGS = (".h5", ".hdf5", ".npy", ".npz", ".mat", ".pt", ".pth", ".pkl", ".pickle")
_VIDEO_ENDINGS = (".mp4", ".avi", ".mov", ".mkv")


def arrays_in(
    source: Path, key: str | None, videos: Path | None
) -> Iterator[tuple[str, str, NDArray[Any]]]:
    """The videos of a file or a folder, one after the other.

    A folder has a file per video, named after it. A file has an array per video under the video's
    name, or one array of all frames end to end, or a list of arrays; what is in these two, a table
    tells.

    Args:
        source: The file or folder.
        key: The name of the array, or of the group of arrays, in each file.
        videos: Table with the header `video,frames`, in the order of the frames or of the list.

    Yields:
        The name of a video, where it stands, and its array of two axes.

    Raises:
        PipelineError: A file cannot be read, or what is in it has no names.
    """
    if source.is_dir():
        files = [p for p in sorted(source.rglob("[!.]*")) if p.suffix in ENDINGS and p.is_file()]
        if not files:
            raise PipelineError(f"{source}: holds no features ({', '.join(ENDINGS)}).")
        for path in files:
            with _opened(path) as content:
                yield path.stem, str(path), _array(content, key, str(path))
        return
    if not source.is_file() or source.suffix not in ENDINGS:
        what = "no such file" if not source.is_file() else "not one that is read"
        raise PipelineError(
            f"{source}: {what}. Allowed: a folder, or a file that ends in {', '.join(ENDINGS)}."
        )
    with _opened(source) as content:
        if key is not None and isinstance(content, Mapping) and key in content:
            content, key = content[key], None
        if isinstance(content, Mapping):
            for name in content:
                where = f"{source}: {name}"
                yield _video(str(name)), where, _array(content[name], key, where)
        elif isinstance(content, list | tuple):
            rows = _read_videos(source, videos)
            if len(rows) != len(content):
                raise PipelineError(
                    f"{videos}: {len(rows)} videos, but {source} holds {len(content)} arrays."
                )
            for (name, _), array in zip(rows, content, strict=True):
                yield name, f"{source}: {name}", _array(array, key, f"{source}: {name}")
        elif videos is None:
            yield source.stem, str(source), _array(content, key, str(source))
        else:
            yield from _cut(_array(content, key, str(source)), source, videos)


def _cut(
    array: NDArray[Any], source: Path, videos: Path
) -> Iterator[tuple[str, str, NDArray[Any]]]:
    """The videos of an array of all frames end to end, as TMRNet and Trans-SVNet write it."""
    rows = _read_videos(source, videos)
    total = sum(frames for _, frames in rows)
    if total != len(array):
        raise PipelineError(
            f"{videos}: {total} frames in all, but {source} holds {len(array)}. Give the videos of "
            "this file alone, in its order."
        )
    start = 0
    for name, frames in rows:
        yield name, f"{source}: {name}", array[start : start + frames]
        start += frames


def _read_videos(source: Path, videos: Path | None) -> list[tuple[str, int]]:
    if videos is None:
        raise PipelineError(
            f"{source}: a list of arrays without names. Give a table with the header "
            "`video,frames` and a row for each of them by --videos."
        )
    if not videos.is_file():
        raise PipelineError(f"{videos}: no such file. --videos is a table `video,frames`.")
    try:
        return _rows_of(videos)
    except UnicodeDecodeError as error:
        raise PipelineError(f"{videos}: not UTF-8 ({error}). Save it as UTF-8.") from None


def _rows_of(videos: Path) -> list[tuple[str, int]]:
    with videos.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        if reader.fieldnames != ["video", "frames"]:
            found = ",".join(reader.fieldnames or [])
            raise PipelineError(f"{videos}:1: header {found!r}, expected 'video,frames'.")
        rows = []
        for row in reader:
            if not (row["frames"] or "").isdecimal():
                raise PipelineError(
                    f"{videos}:{reader.line_num}: frames {row['frames']!r} is no whole number."
                )
            rows.append((row["video"], int(row["frames"])))
    return rows


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The content of a file; what its format can leave on the disk is read when it is asked for.

    Raises:
        PipelineError: It cannot be read, now or when an array of it is asked for.
    """
    try:
        with _content(path) as content:
            yield content
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise PipelineError(
            f"{path}: cannot be read as arrays ({error}). Arrays of objects are refused, because "
            "reading them runs their code."
        ) from None


def _content(path: Path) -> AbstractContextManager[Any]:
    match path.suffix:
        case ".h5" | ".hdf5":
            import h5py

            return h5py.File(path, "r")  # type: ignore[no-any-return]
        case ".npy":
            return nullcontext(np.load(path, mmap_mode="r", allow_pickle=False))
        case ".npz":
            if not zipfile.is_zipfile(path):  # numpy would leave the file open
                raise ValueError("not a whole archive")
            return closing(np.load(path, allow_pickle=False))
        case ".mat":
            return _opened_mat(path)
        case ".pt" | ".pth":
            return nullcontext(_read_torch(path))
        case _:
            return nullcontext(read_pickle(path))


def _opened_mat(path: Path) -> AbstractContextManager[Any]:
    import h5py
    import scipy.io

    if h5py.is_hdf5(path):  # version 7.3
        return h5py.File(path, "r")  # type: ignore[no-any-return]
    try:
        content = scipy.io.loadmat(str(path))
    except Exception as error:  # a damaged file raises whatever its bytes happen to call
        raise PipelineError(
            f"{path}: not a whole .mat file ({type(error).__name__}: {error}). Copy it again."
        ) from None
    return nullcontext({name: v for name, v in content.items() if not name.startswith("__")})


def _read_torch(path: Path) -> Any:
    """Tensors stay on the disk until they are asked for, where the file's format allows it."""
    import torch

    reconstruct = np.zeros(1).__reduce__()[0]
    allowed: list[Any] = [np.ndarray, np.dtype, reconstruct]
    allowed += [(reconstruct, "numpy.core.multiarray._reconstruct")]  # as numpy 1 called it
    allowed += [type(np.dtype(kind)) for kind in ("f2", "f4", "f8")]
    # The old format cannot be mapped.
    mapped = True if zipfile.is_zipfile(path) else None
    try:
        with torch.serialization.safe_globals(allowed):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except Exception as error:  # torch.load raises half a dozen kinds
        raise PipelineError(
            f"{path}: cannot be read as plain tensors ({type(error).__name__}). Files that hold "
            "objects are refused, because reading them runs their code."
        ) from None


def _array(content: Any, key: str | None, where: str) -> NDArray[Any]:
    """The array of one video, with axes of length 1 left out where there are three."""
    if isinstance(content, Mapping):
        content = content[_name(content, key, where)]
    if hasattr(content, "detach"):
        content = content.detach().float().numpy()
    array = np.asarray(content)
    if array.ndim > 2:
        array = array.squeeze()
    if array.ndim != 2 or array.dtype.kind not in "fiu":
        raise PipelineError(
            f"{where}: {array.dtype} of shape {array.shape}, expected numbers, frames by features."
        )
    return array


def _name(content: Mapping[str, Any], key: str | None, where: str) -> str:
    """Under which name the array stands: `key`, else the only one of two axes or more."""
    if key is not None:
        if key not in content:
            raise PipelineError(f"{where}: no {key!r}; holds {', '.join(map(str, content))}.")
        return key
    names = [name for name in content if len(getattr(content[name], "shape", ())) >= 2]
    if len(names) != 1:
        raise PipelineError(
            f"{where}: holds {', '.join(map(str, content)) or 'nothing'}, of which "
            f"{len(names)} may be features. Name the array by --key."
        )
    return names[0]


def _video(name: str) -> str:
    """A video's name from what an array is called: often the name of its file."""
    name = name.rpartition("/")[2]
    stem, ending = Path(name).stem, Path(name).suffix.lower()
    return stem if ending in _VIDEO_ENDINGS else name
