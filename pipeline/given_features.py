"""Features that a data set brings itself, an array per video, in place of videos.

What follows the index asks `are_given` of videos.csv, or reads given.csv of data/frames, and so
knows that there is no frame to take and no network to run.
"""

import zipfile
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.errors import PipelineError

ENDINGS = (".npy", ".mat")

AXES = "feature_axes"
"""The column of videos.csv that only such data sets have: TIME_LAST or TIME_FIRST."""
TIME_LAST = "feature,time"
TIME_FIRST = "time,feature"

NETWORK = "given features"
"""What stands for the name of a network in models/backbone.safetensors."""


@dataclass(frozen=True)
class GivenVideo:
    """A row of given.csv.

    Attributes:
        video: Identifier.
        path: Of the array, relative to data.root.
        sha256: Of the file.
        fps: Frames per second of the array.
        frames: Its length in time.
        axes: TIME_LAST or TIME_FIRST.
        every: How many of its frames lie from one sample to the next.
    """

    video: str
    path: str
    sha256: str
    fps: float
    frames: int
    axes: str
    every: int


def are_given(videos: pd.DataFrame) -> bool:
    """Whether the rows of videos.csv name arrays of features."""
    return AXES in videos.columns


def table_of(frames: Path) -> Path:
    """given.csv of data/frames, which is there where features are given."""
    return frames / "given.csv"


def read_given(frames: Path) -> list[GivenVideo]:
    """The rows of given.csv.

    Raises:
        PipelineError: It has other columns.
    """
    path, columns = table_of(frames), [field.name for field in fields(GivenVideo)]
    table = pd.read_csv(path, dtype=dict.fromkeys(("video", "path", "sha256", "axes"), str))
    if list(table.columns) != columns:
        raise PipelineError(
            f"{path}: columns {', '.join(table.columns)}, expected {', '.join(columns)}. Run "
            "`dvc repro`."
        )
    return [GivenVideo(*row) for row in table.itertuples(index=False, name=None)]


def shape_of(path: Path) -> tuple[int, int]:
    """Both lengths of the array in a file, without reading the array.

    Raises:
        PipelineError: The file cannot be read, or does not hold one array of two axes.
    """
    if path.suffix == ".mat":
        import scipy.io

        listed = _of_mat(path, scipy.io.whosmat)
        shapes = {str(name): tuple(shape) for name, shape, _ in listed if len(shape) == 2}
        return _two(path, shapes[_only(path, shapes)])
    return _two(path, _npy(path).shape)


def read_array(path: Path) -> NDArray[Any]:
    """The array in a file, with its two axes as they lie there.

    Raises:
        PipelineError: The file cannot be read, does not hold one array of numbers of two axes, or
            holds a value that is not finite.
    """
    if path.suffix == ".mat":
        import scipy.io

        content = _of_mat(path, scipy.io.loadmat)
        arrays = {
            name: value
            for name, value in content.items()
            if not name.startswith("__") and isinstance(value, np.ndarray) and value.ndim == 2
        }
        array = arrays[_only(path, {name: value.shape for name, value in arrays.items()})]
    else:
        array = np.asarray(_npy(path))
    _two(path, array.shape)
    if array.dtype.kind not in "fiu":
        raise PipelineError(f"{path}: holds {array.dtype}, expected numbers.")
    if not np.isfinite(array).all():
        wrong = int((~np.isfinite(array)).sum())
        raise PipelineError(
            f"{path}: {wrong} of {array.size} values are NaN or infinite. Compute these features "
            "again, or take the video out of the splits."
        )
    return array


def _npy(path: Path) -> NDArray[Any]:
    """The array of a .npy file, mapped, so that only what is used is read."""
    try:
        loaded = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise PipelineError(
            f"{path}: not a whole .npy file of numbers ({error}). Copy it again; "
            "`python -m pipeline import-features` turns other files into such."
        ) from None
    if not isinstance(loaded, np.ndarray):
        raise PipelineError(f"{path}: an archive of several arrays, expected one.")
    return loaded


def _of_mat(path: Path, read: Any) -> Any:
    """What scipy reads of a .mat file."""
    try:
        return read(str(path))
    except NotImplementedError:
        raise PipelineError(
            f"{path}: a .mat file of version 7.3, which is HDF5. Turn it into .npy: `python -m "
            "pipeline import-features`."
        ) from None
    except Exception as error:  # a damaged file raises whatever its bytes happen to call
        raise PipelineError(f"{path}: not a whole .mat file ({error}). Copy it again.") from None


def _only(path: Path, shapes: dict[str, tuple[int, ...]]) -> str:
    if len(shapes) != 1:
        raise PipelineError(
            f"{path}: holds {', '.join(shapes) or 'no array of two axes'}, expected one array of "
            "features by frames."
        )
    return next(iter(shapes))


def _two(path: Path, shape: tuple[int, ...]) -> tuple[int, int]:
    if len(shape) != 2 or 0 in shape:
        raise PipelineError(f"{path}: an array of shape {shape}, expected features by frames.")
    return int(shape[0]), int(shape[1])
