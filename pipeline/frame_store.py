"""data/frames/<video>.h5, whose one owner this is.

`jpeg` (T,) variable-length uint8, one JPEG file per sampled frame, and `time_s` (T,) float64, its
true presentation time in the video. Attributes say how the frames were made.
"""

from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np
from numpy.typing import NDArray

from pipeline.atomic import replacing
from pipeline.errors import PipelineError

FORMAT_VERSION = 1
# Frames per HDF5 chunk of references and times. Fixed, because it decides the file's bytes.
_CHUNK = 256
# Frames handed to HDF5 at once: four times quicker than one by one, 2 MB of JPEGs.
_BATCH = 64


def write_frames(
    path: Path, samples: Iterable[tuple[bytes, float]], attributes: Mapping[str, Any]
) -> int:
    """Write frames as they come, a few at a time, so that memory does not grow with the video.

    Args:
        path: The container; it appears under this name only when it is whole.
        samples: JPEG bytes and time in seconds of each frame, in order.
        attributes: What made the frames; written in the order of their names.

    Returns:
        The number of frames.
    """
    with replacing(path) as partial, h5py.File(partial, "w", libver="v110") as file:
        jpeg = file.create_dataset(
            "jpeg",
            shape=(0,),
            maxshape=(None,),
            chunks=(_CHUNK,),
            dtype=h5py.vlen_dtype(np.uint8),
            track_times=False,
        )
        times: list[float] = []
        remaining = iter(samples)
        while batch := list(islice(remaining, _BATCH)):
            encoded = np.empty(len(batch), dtype=jpeg.dtype)
            for place, (content, time_s) in enumerate(batch):
                encoded[place] = np.frombuffer(content, dtype=np.uint8)
                times.append(time_s)
            jpeg.resize((len(times),))
            where = jpeg.id.get_space()
            where.select_hyperslab((len(times) - len(batch),), (len(batch),))
            # Below h5py's assignment, which takes JPEGs of one length for a matrix.
            jpeg.id.write(
                h5py.h5s.create_simple((len(batch),)),
                where,
                encoded,
                h5py.h5t.py_create(jpeg.dtype),
            )
        dataset = file.create_dataset(
            "time_s", data=np.asarray(times, dtype=np.float64), track_times=False
        )
        dataset.attrs["units"] = "s"
        for name in sorted(attributes):
            file.attrs[name] = attributes[name]
        file.attrs["format_version"] = FORMAT_VERSION
    return len(times)


class FrameFile:
    """The frames of one video, open for reading.

    Attributes:
        time_s: (T,) float64 seconds.
        attributes: video, fps, height, width, crop, quality, decoder, fingerprint and so on.

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
            raise PipelineError(
                f"{path}: format version {version}, this program reads {FORMAT_VERSION}. "
                "Remove the file and run `dvc repro`."
            )
        self._jpeg = self._file["jpeg"]
        self.time_s: NDArray[np.float64] = self._file["time_s"][:]
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

    def jpeg(self, sample: int) -> NDArray[np.uint8]:
        """The JPEG file of one frame, (bytes,) uint8."""
        encoded: NDArray[np.uint8] = self._jpeg[sample]
        return encoded

    def image(self, sample: int) -> NDArray[np.uint8]:
        """One frame, (H, W, 3) uint8 RGB."""
        return decode_jpeg(self.jpeg(sample))


def decode_jpeg(encoded: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """An image (H, W, 3) uint8 RGB from the bytes of a JPEG file."""
    import cv2

    image = cv2.imdecode(encoded, cv2.IMREAD_COLOR_RGB)
    if image is None:
        raise PipelineError("a frame is not a readable JPEG; remove its container and repro.")
    return np.asarray(image, dtype=np.uint8)
