"""The only code that knows decord and PyAV: sampled frames of a video, upright, in order."""

import importlib.metadata
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import VideoError
from pipeline.frames.sample import Timeline

# Frames that decord hands over at once, at native size: 50 MB at 1920 x 1080.
_BATCH = 8
_MEND = "Copy it anew from its source, or cut it with ffmpeg at the last good frame."


@dataclass(frozen=True)
class Source:
    """A video file as its container describes it, packet by packet.

    Attributes:
        video: Identifier, for messages.
        path: The file.
        timeline: When each frame is shown.
        seekable: Whether decord finds any frame by its number. It does not where the frame rate
            varies or where pictures before a keyframe refer to the group before it (open GOP):
            there it returns a neighbour without a word.
    """

    video: str
    path: Path
    timeline: Timeline
    seekable: bool


def open_source(video: str, path: Path) -> Source:
    """Read the packets' times, which decodes nothing.

    Raises:
        VideoError: The file is missing, empty, no video, or has no video stream.
    """
    if not path.is_file():
        raise VideoError(video, f"{path} does not exist. Is data.root where the videos are?")
    if path.stat().st_size == 0:
        raise VideoError(video, f"{path} has zero bytes. Copy it anew from its source.")
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                kinds = sorted({stream.type for stream in container.streams})
                found = f"only {', '.join(kinds)}" if kinds else "no stream at all"
                raise VideoError(video, f"{path} holds {found}, no video. Replace or remove it.")
            stream = container.streams.video[0]
            packets = [
                (packet.pts, packet.is_keyframe)
                for packet in container.demux(stream)
                if packet.size and not packet.is_discard
            ]
            time_base = Fraction(stream.time_base or Fraction(1, 90_000))
            rate = Fraction(stream.average_rate or 25)
    except (av.FFmpegError, UnicodeError) as error:
        raise VideoError(video, f"{path} is no readable video ({_words(error)}). {_MEND}") from None
    if not packets:
        raise VideoError(video, f"{path} holds no frame. {_MEND}")
    if any(pts is None for pts, _ in packets):
        # Raw streams and old AVI files carry no times: one frame follows the other.
        ticks = np.arange(len(packets), dtype=np.int64)
        return Source(video, path, Timeline(ticks, 1 / rate), seekable=False)
    shown = np.array([pts for pts, _ in packets], dtype=np.int64)
    keys = np.maximum.accumulate(
        np.where([is_key for _, is_key in packets], shown, np.iinfo(np.int64).min)
    )
    ticks = np.sort(shown)
    # Rates such as 29.97 alternate between two whole numbers of ticks.
    steady = len(ticks) < 3 or np.ptp(np.diff(ticks)) <= 1
    return Source(
        video,
        path,
        Timeline(ticks - ticks[0], time_base),
        seekable=bool(steady and (shown >= keys).all()),
    )


def decoder_for(source: Source, wanted: str) -> tuple[str, str]:
    """The decoder that reads this file, and its version: `wanted` where it can be trusted."""
    if wanted == "decord" and source.seekable and importlib.util.find_spec("decord"):
        return "decord", importlib.metadata.version("decord")
    return "pyav", importlib.metadata.version("av")


def read_frames(
    source: Source, decoder: str, frames: NDArray[np.int64], threads: int
) -> Iterator[NDArray[np.uint8]]:
    """The frames with these numbers, as they are shown.

    Args:
        source: From open_source.
        decoder: "decord" or "pyav"; both give the same pixels.
        frames: (K,) numbers in the order of presentation, not descending.
        threads: Of the decoder.

    Yields:
        (H, W, 3) uint8 RGB, upright, at native size; K of them.

    Raises:
        VideoError: The file ends early or is damaged; says how many frames decode.
    """
    read = _read_decord if decoder == "decord" else _read_pyav
    yield from read(source, frames, threads)


def keyframes(source: Source, count: int) -> NDArray[np.uint8]:
    """Up to `count` keyframes spread over the video: (N, H, W, 3) uint8 RGB, upright."""
    ticks = source.timeline.ticks
    images: dict[int, NDArray[np.uint8]] = {}
    try:
        with av.open(str(source.path)) as container:
            stream = container.streams.video[0]
            stream.codec_context.skip_frame = "NONKEY"
            start = stream.start_time or 0
            for place in np.linspace(0, int(ticks[-1]), count).astype(np.int64):
                container.seek(start + int(place), stream=stream, backward=True)
                frame = next(container.decode(stream), None)
                if frame is not None and frame.pts is not None:
                    images.setdefault(frame.pts, _upright(frame))
    except av.FFmpegError as error:
        raise VideoError(
            source.video, f"{source.path} is damaged ({_words(error)}). {_MEND}"
        ) from None
    if not images:
        raise VideoError(source.video, f"{source.path}: no keyframe decodes. {_MEND}")
    return np.stack([images[pts] for pts in sorted(images)])


def _read_decord(
    source: Source, frames: NDArray[np.int64], threads: int
) -> Iterator[NDArray[np.uint8]]:
    import decord

    decord.logging.set_level(decord.logging.QUIET)
    try:
        reader = decord.VideoReader(str(source.path), num_threads=threads)
        if len(reader) != len(source.timeline.ticks):
            raise _damaged(source, threads)
        for start in range(0, len(frames), _BATCH):
            yield from reader.get_batch(frames[start : start + _BATCH].tolist()).asnumpy()
        # A file cut off behind the last sampled frame must not pass as whole.
        reader.get_batch([len(reader) - 1])
    except (decord.DECORDError, RuntimeError):
        raise _damaged(source, threads) from None


def _read_pyav(
    source: Source, frames: NDArray[np.int64], threads: int
) -> Iterator[NDArray[np.uint8]]:
    counts = np.bincount(frames)
    shown = 0
    for frame in _decoded(source, threads):
        if shown < len(counts) and counts[shown]:
            image = _upright(frame)
            for _ in range(counts[shown]):
                yield image
        shown += 1
    if shown != len(source.timeline.ticks):
        raise _short(source, shown)


def _decoded(source: Source, threads: int) -> Iterator[Any]:
    """Every frame that decodes, in the order of presentation, up to the first error."""
    try:
        with av.open(str(source.path)) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            stream.codec_context.thread_count = threads
            yield from container.decode(stream)
    except av.FFmpegError:
        # The count of what came tells the caller where the file breaks off.
        return


def _damaged(source: Source, threads: int) -> VideoError:
    return _short(source, sum(1 for _ in _decoded(source, threads)))


def _short(source: Source, shown: int) -> VideoError:
    total = len(source.timeline.ticks)
    if shown == 0:
        why = f"none of its {total} frames decodes; it is encrypted or damaged"
    elif shown < total:
        why = f"{shown} of {total} frames decode; it is truncated or damaged"
    else:
        why = f"{shown} frames decode, but its container lists {total}"
    return VideoError(source.video, f"{source.path}: {why}. {_MEND}")


def _upright(frame: Any) -> NDArray[np.uint8]:
    """A PyAV frame as (H, W, 3) RGB, turned as its metadata asks."""
    image = frame.to_ndarray(format="rgb24")
    turned: NDArray[np.uint8] = np.rot90(image, frame.rotation // 90)
    return np.ascontiguousarray(turned)


def _words(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error).rstrip(".")
