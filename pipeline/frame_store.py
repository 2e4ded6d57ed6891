"""data/frames/<video>.h5, whose one owner this is.

A container holds the frames that are needed, each once, and an index that says which of them make
a sample:

- `jpeg` (F,) variable-length uint8, one JPEG file per frame;
- `frame_time_s` (F,) float64, when the video shows the frame;
- `sample` (T, L) int64, the frames of each sample as rows of `jpeg`: one today, a clip that ends at
  the sample tomorrow; -1 where a frame could not be decoded;
- `time_s` (T,) float64, the time of each sample, strictly increasing;
- `lost` (T,) bool, samples without their frame.

Attributes say how the frames were made.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np
from numpy.typing import NDArray

from pipeline.atomic import replacing
from pipeline.errors import PipelineError

FORMAT_VERSION = 2
# Frames per HDF5 chunk of references and times. Fixed, because it decides the file's bytes.
_CHUNK = 256
# Frames handed to HDF5 at once: four times quicker than one by one, 2 MB of JPEGs.
_BATCH = 64


@dataclass(frozen=True)
class Samples:
    """Which frames make each sample.

    Attributes:
        frames: (T, L) int64, rows of `jpeg`; -1 where a frame could not be decoded.
        time_s: (T,) float64 seconds, strictly increasing.

    Raises:
        ValueError: They do not fit together, or times do not rise.
    """

    frames: NDArray[np.int64]
    time_s: NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.frames.ndim != 2 or len(self.frames) != len(self.time_s):
            raise ValueError(f"{len(self.time_s)} times do not fit {self.frames.shape} frames")
        if (np.diff(self.time_s) <= 0).any():
            raise ValueError("the times of samples must rise")

    @property
    def lost(self) -> NDArray[np.bool_]:
        """(T,) whether a frame of the sample could not be decoded."""
        return np.asarray((self.frames < 0).any(axis=1))


def write_frames(
    path: Path,
    frames: Iterable[tuple[bytes, float]],
    attributes: Mapping[str, Any],
    samples: Samples | None = None,
) -> int:
    """Write frames as they come, a few at a time, so that memory does not grow with the video.

    Args:
        path: The container; it appears under this name only when it is whole.
        frames: JPEG bytes and time in seconds of each frame, in order.
        attributes: What made the frames; written in the order of their names.
        samples: Which frames make each sample; each frame is one when left out.

    Returns:
        The number of samples.

    Raises:
        ValueError: A sample needs a frame that did not come.
    """
    with replacing(path) as partial, h5py.File(partial, "w", libver="v110") as file:
        times = _write_jpegs(file, frames)
        if samples is None:
            samples = Samples(np.arange(len(times))[:, None], times)
        if len(samples.frames) and samples.frames.max() >= len(times):
            raise ValueError(f"{len(times)} frames came, {samples.frames.max() + 1} are needed")
        _write(file, "frame_time_s", times, units="s")
        _write(file, "sample", samples.frames, axes="sample, frame of the sample")
        _write(file, "time_s", samples.time_s, units="s")
        _write(file, "lost", samples.lost)
        for name in sorted(attributes):
            file.attrs[name] = attributes[name]
        file.attrs["lost_samples"] = int(samples.lost.sum())
        file.attrs["format_version"] = FORMAT_VERSION
    return len(samples.frames)


def _write_jpegs(file: Any, frames: Iterable[tuple[bytes, float]]) -> NDArray[np.float64]:
    """Write the dataset `jpeg`; the times of its frames."""
    jpeg = file.create_dataset(
        "jpeg",
        shape=(0,),
        maxshape=(None,),
        chunks=(_CHUNK,),
        dtype=h5py.vlen_dtype(np.uint8),
        track_times=False,
    )
    times: list[float] = []
    remaining = iter(frames)
    while batch := list(islice(remaining, _BATCH)):
        encoded = np.empty(len(batch), dtype=jpeg.dtype)
        for row, (content, time_s) in enumerate(batch):
            encoded[row] = np.frombuffer(content, dtype=np.uint8)
            times.append(time_s)
        jpeg.resize((len(times),))
        target = jpeg.id.get_space()
        target.select_hyperslab((len(times) - len(batch),), (len(batch),))
        # Below h5py's assignment, which takes JPEGs of one length for a matrix.
        jpeg.id.write(
            h5py.h5s.create_simple((len(batch),)),
            target,
            encoded,
            h5py.h5t.py_create(jpeg.dtype),
        )
    return np.asarray(times, dtype=np.float64)


def _write(file: Any, name: str, data: NDArray[Any], **attributes: str) -> None:
    dataset = file.create_dataset(name, data=data, track_times=False)
    for key, value in attributes.items():
        dataset.attrs[key] = value


class FrameFile:
    """The samples of one video and their frames, open for reading. Its length is that in samples.

    Attributes:
        time_s: (T,) float64 seconds of the samples.
        frame_time_s: (F,) float64 seconds of the frames.
        lost: (T,) bool, samples without their frame.
        attributes: video, fps, height, width, crop box, quality, decoder, fingerprint and so on.

    Raises:
        PipelineError: The file is missing, damaged or of another format version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = h5py.File(path, "r")
        except FileNotFoundError:
            raise PipelineError(f"{path}: not found. `dvc repro frames` makes it.") from None
        except OSError as error:
            raise PipelineError(
                f"{path}: not an HDF5 file ({error}). Remove it and run `dvc repro`."
            ) from None
        version = int(self._file.attrs.get("format_version", 0))
        if version != FORMAT_VERSION:
            self._file.close()
            raise PipelineError(
                f"{path}: format version {version}, this program reads {FORMAT_VERSION}. "
                "Remove the file and run `dvc repro`."
            )
        self._jpeg = self._file["jpeg"]
        self._sample: NDArray[np.int64] = self._file["sample"][:]
        self.time_s: NDArray[np.float64] = self._file["time_s"][:]
        self.frame_time_s: NDArray[np.float64] = self._file["frame_time_s"][:]
        self.lost: NDArray[np.bool_] = self._file["lost"][:]
        self.attributes: dict[str, Any] = dict(self._file.attrs)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def __len__(self) -> int:
        return len(self.time_s)

    @property
    def kept(self) -> NDArray[np.int64]:
        """The samples that have their frames, ascending: all but the lost ones."""
        return np.flatnonzero(~self.lost)

    def sample_frames(self, sample: int) -> NDArray[np.int64]:
        """The frames of a sample, (L,) rows of `jpeg`; -1 where one was lost."""
        rows: NDArray[np.int64] = self._sample[sample]
        return rows

    def frame_jpeg(self, row: int) -> NDArray[np.uint8]:
        """The JPEG file of a frame, (bytes,) uint8."""
        encoded: NDArray[np.uint8] = self._jpeg[row]
        return encoded

    def jpeg(self, sample: int) -> NDArray[np.uint8]:
        """The JPEG file of the frame at a sample, the last one of its frames: (bytes,) uint8.

        Raises:
            IndexError: It was lost; `kept` names the samples that have theirs.
        """
        row = int(self._sample[sample, -1])
        if row < 0:
            raise IndexError(f"{self.path}: the frame of sample {sample} was lost")
        return self.frame_jpeg(row)

    def image(self, sample: int) -> NDArray[np.uint8]:
        """The frame at a sample, (H, W, 3) uint8 RGB.

        Raises:
            IndexError: As `jpeg`.
        """
        return decode_jpeg(self.jpeg(sample))


def decode_jpeg(encoded: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """An image (H, W, 3) uint8 RGB from the bytes of a JPEG file."""
    import cv2

    image = cv2.imdecode(encoded, cv2.IMREAD_COLOR_RGB)
    if image is None:
        raise PipelineError("a frame is not a readable JPEG; remove its container and repro.")
    return np.asarray(image, dtype=np.uint8)
