"""features/<video>.h5, whose one owner this is.

`features` (T, D) float16 or float32 and `time_s` (T,) float64, the true time of each frame in its
video. `h5py.File(path)["features"][:]` is all that a reader needs. Where a video is damaged, `lost`
(T,) bool marks the samples whose frame could not be decoded; their rows repeat the one before.

Features are mapped into memory, not read: the operating system reads what is used, keeps it while
there is room, and lets go of it when there is none. So features may exceed the memory, and nothing
that uses them has to know.
"""

import mmap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from pipeline.atomic import replacing
from pipeline.errors import PipelineError

FORMAT_VERSION = 1

_OPEN_FILES = 65_536


@dataclass(frozen=True)
class Features:
    """The features of one video.

    Attributes:
        features: (T, D) float16 or float32.
        time_s: (T,) float64, strictly increasing.
        attributes: video, backbone, weights, precision, frames, fingerprint, fps, format_version.
        lost: (T,) bool, samples whose frame could not be decoded.
    """

    features: NDArray[Any]
    time_s: NDArray[np.float64]
    attributes: Mapping[str, Any]
    lost: NDArray[np.bool_]

    def __post_init__(self) -> None:
        if self.features.ndim != 2 or len(self.features) != len(self.time_s):
            raise ValueError(
                f"{len(self.time_s)} times do not fit features of shape {self.features.shape}"
            )
        if self.lost.shape != self.time_s.shape:
            raise ValueError(f"{len(self.time_s)} times do not fit {len(self.lost)} marks of loss")


def write_features(
    path: Path,
    features: NDArray[Any],
    time_s: NDArray[np.float64],
    attributes: Mapping[str, Any],
    lost: NDArray[np.bool_] | None = None,
) -> None:
    """Write one video's features; the same content gives the same bytes.

    Raises:
        ValueError: Rows and times differ in number.
    """
    if lost is None:
        lost = np.zeros(len(time_s), dtype=bool)
    content = Features(features, time_s, attributes, lost)
    with replacing(path) as partial, h5py.File(partial, "w", libver="v110") as file:
        data = file.create_dataset("features", data=content.features, track_times=False)
        data.attrs["axes"] = "time, feature"
        times = file.create_dataset("time_s", data=content.time_s, track_times=False)
        times.attrs["units"] = "s"
        if content.lost.any():
            file.create_dataset("lost", data=content.lost, track_times=False)
        for name in sorted(attributes):
            file.attrs[name] = attributes[name]
        file.attrs["format_version"] = FORMAT_VERSION


def read_attributes(path: Path) -> dict[str, Any]:
    """What a features file says of itself, without its features.

    Raises:
        PipelineError: The file is missing, damaged or of another format version.
    """
    with _opened(path) as file:
        return dict(file.attrs)


def read_features(path: Path) -> Features:
    """The features of one video, mapped from the file; changes of the array stay in memory.

    Raises:
        PipelineError: The file is missing, damaged or of another format version.
    """
    _allow_many_open_files()
    with _opened(path) as file:
        time_s = file["time_s"][:]
        lost = file["lost"][:] if "lost" in file else np.zeros(len(time_s), dtype=bool)
        return Features(_mapped(path, file["features"]), time_s, dict(file.attrs), lost)


def prefetch(features: NDArray[Any]) -> None:
    """Have the operating system read mapped features now, while something else is computed.

    Returns at once. Does nothing for other arrays, nor where the system has no such call.
    """
    base: Any = features
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, mmap.mmap) and hasattr(mmap, "MADV_WILLNEED"):
        base.madvise(mmap.MADV_WILLNEED)


def _allow_many_open_files() -> None:
    """Raise this process's limit of open files: a mapped file counts as one, once per fold.

    Shells often allow 1024, fewer than a cross-validation or a set of 1,700 videos maps. The limit
    stays as it is where the system has none, or allows no more.
    """
    try:
        import resource  # Windows has none
    except ImportError:
        return
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if most == resource.RLIM_INFINITY else min(_OPEN_FILES, most)
    if now != resource.RLIM_INFINITY and now < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def _mapped(path: Path, features: h5py.Dataset) -> NDArray[Any]:
    """The dataset in place where its rows lie one after the other in the file, or a copy."""
    start = features.id.get_offset()  # None for chunks, as other programs may write them
    if start is None or start % features.dtype.itemsize or not features.size:
        return np.asarray(features[:])
    # Copied on write, because torch takes no array that cannot be written to.
    return np.asarray(np.memmap(path, features.dtype, "c", start, features.shape))


@contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    try:
        with h5py.File(path, "r") as file:
            version = int(file.attrs.get("format_version", 0))
            if version != FORMAT_VERSION:
                raise PipelineError(
                    f"{path}: format version {version}, this program reads {FORMAT_VERSION}. "
                    "Remove the file and run `dvc repro`."
                )
            yield file
    except FileNotFoundError:
        raise PipelineError(f"{path}: not found. `dvc repro features` makes it.") from None
    except (OSError, KeyError) as error:
        raise PipelineError(
            f"{path}: not a features file ({error}). Remove it and run `dvc repro`."
        ) from None
