"""One video to its features in one pass: decoded, shrunk, kept as JPEG in memory, encoded.

The steps are those of the stages frames and features. JPEGs are made and read again because the
models were trained on what JPEGs hold, and batches are cut as the features stage cuts them: the
features are the same to the last bit on the same machine.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.clips import Clips
from pipeline.errors import VideoError
from pipeline.features.encode import Encoder, encode_jpegs
from pipeline.features.encode_clips import encode_clips
from pipeline.features.rows import stored_as, with_lost
from pipeline.features.video import FileWriter
from pipeline.features.views import mean, views
from pipeline.frames.extract import SampledVideo, extract, extract_damaged
from pipeline.frames.params import FramesParams

# Samples between two reports of progress, at least: what is in memory does not grow with the video.
_SAMPLES = 256

Progressed = Callable[[int, int], None]
Read = Callable[[int], NDArray[np.uint8]]


@dataclass(frozen=True)
class EncodedVideo:
    """The features of a video.

    Attributes:
        features: (T, D), in the type that the features stage would keep them in.
        time_s: (T,) float64 seconds, strictly increasing.
        lost: (T,) bool, samples whose frame could not be decoded.
    """

    features: NDArray[Any]
    time_s: NDArray[np.float64]
    lost: NDArray[np.bool_]


def encoded_video(
    path: Path,
    frames: FramesParams,
    writers: Sequence[FileWriter],
    threads: int,
    pool: ThreadPoolExecutor,
    progressed: Progressed,
) -> EncodedVideo:
    """The features of a video file.

    Args:
        path: The file.
        frames: Which frames are taken and how they are kept.
        writers: Each network, the features of which lie side by side.
        threads: For decoding the video.
        pool: Threads that read JPEGs.
        progressed: Told how many samples of how many are done.

    Raises:
        VideoError: The file is damaged, and either all of it or frames.on_error is not `mask`.
        PipelineError: The device has too little memory, or features do not fit their type.
    """
    try:
        return _encoded(path, extract(path.stem, path, frames, threads), writers, pool, progressed)
    except VideoError as damage:
        if frames.on_error != "mask":
            raise
        try:
            sampled = extract_damaged(path.stem, path, frames, threads)
        except VideoError:
            raise damage from None
        return _encoded(path, sampled, writers, pool, progressed)


def _encoded(
    path: Path,
    sampled: SampledVideo,
    writers: Sequence[FileWriter],
    pool: ThreadPoolExecutor,
    progressed: Progressed,
) -> EncodedVideo:
    clips = writers[0].clips
    every = clips.every if clips else 1
    stored_lost = sampled.samples.lost
    lost, time_s = stored_lost[::every], sampled.samples.time_s[::every]
    kept = np.flatnonzero(~lost)
    if not len(kept):
        raise VideoError(path.stem, f"{path}: none of its {len(lost)} samples decodes whole.")
    rows = clips.rows(~stored_lost)[kept] if clips else kept[:, None]  # (K, L)
    jpegs = _Jpegs(sampled)
    parts: list[list[NDArray[np.float32]]] = [[] for _ in writers]
    batch = writers[0].encoder.batch
    step = -(-_SAMPLES // batch) * batch
    for start in range(0, len(rows), step):
        part = rows[start : start + step]
        jpegs.move(int(part[0, 0]), int(part[-1, -1]))
        for writer, found in zip(writers, parts, strict=True):
            found.append(of_views(jpegs, part, writer, pool))
        progressed(min(start + step, len(rows)), len(rows))
    jpegs.finish()
    features = [
        stored_as(with_lost(np.concatenate(found), lost), writer.dtype)
        for writer, found in zip(writers, parts, strict=True)
    ]
    return EncodedVideo(np.concatenate(features, axis=1), time_s, lost)


def of_views(
    read: Read, rows: NDArray[np.int64], by: FileWriter, pool: ThreadPoolExecutor
) -> NDArray[np.float32]:
    """Features (K, D) of samples, means over their views.

    Args:
        read: A stored frame's number to its JPEG file.
        rows: (K, L) numbers of the frames of each sample, ascending; L is 1 for single images.
        by: The network.
        pool: Threads that read JPEGs.
    """
    return mean(
        _encoded_rows(read, rows, by.clips, replace(by.encoder, transform=view), pool)
        for view in views(by.encoder.transform, by.tta)
    )


def _encoded_rows(
    read: Read,
    rows: NDArray[np.int64],
    clips: Clips | None,
    encoder: Encoder,
    pool: ThreadPoolExecutor,
) -> NDArray[np.float32]:
    if clips is None:
        return encode_jpegs((read(row) for row in rows[:, 0].tolist()), encoder, pool)
    return encode_clips(read, rows, encoder, pool)


class _Jpegs:
    """The JPEG files of the frames that are being encoded, by the number of the stored sample."""

    def __init__(self, sampled: SampledVideo) -> None:
        self._pictures: Iterator[Any] = iter(sampled.pictures)
        self._rows = sampled.samples.frames[:, 0]
        self._files: dict[int, NDArray[np.uint8]] = {}
        self._taken = 0

    def move(self, first: int, last: int) -> None:
        """Have the frames of these samples and of those between them, and no earlier ones.

        Args:
            first: Not before that of the call before; not a lost one.
            last: Likewise.
        """
        begin, end = int(self._rows[first]), int(self._rows[last])
        for row in [row for row in self._files if row < begin]:
            del self._files[row]
        while self._taken <= end:
            picture = next(self._pictures)
            # A copy, because torch wants arrays that it could write to.
            self._files[self._taken] = np.frombuffer(picture.jpeg, dtype=np.uint8).copy()
            self._taken += 1

    def __call__(self, sample: int) -> NDArray[np.uint8]:
        return self._files[int(self._rows[sample])]

    def finish(self) -> None:
        """Go through what no sample needs: damage behind the last one shows here.

        Raises:
            VideoError: The file is damaged.
        """
        for _ in self._pictures:
            pass
