"""The frames of a damaged video that decode as they should, and only those.

A picture that is missing or that the decoder had to guess at spoils its neighbours: all later ones
up to the next key frame may refer to it, and so may the B pictures just before it, which are
decoded after it.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, TypeVar

import av
import numpy as np
from numpy.typing import NDArray

from pipeline.frames.source import Source

T = TypeVar("T")
_B = 3  # av.video.frame.PictureType.B


def good_frames(source: Source, threads: int) -> NDArray[np.bool_]:
    """Which frames of a video decode as they should, (N,), by decoding all of them.

    Args:
        source: One whose timeline may be longer than what the file holds.
        threads: For decoding.
    """
    total = len(source.timeline.ticks)
    bad = np.ones(total, dtype=bool)
    key, between = np.zeros(total, dtype=bool), np.ones(total, dtype=bool)
    for number, frame in _numbered(source, threads):
        bad[number] = frame.is_corrupt
        key[number] = frame.key_frame
        between[number] = frame.pict_type == _B
    return ~_spoilt(bad, key, between)


def read_good(
    source: Source, frames: NDArray[np.int64], threads: int, convert: Callable[[Any], T]
) -> Iterator[T]:
    """The frames with these numbers, all of which are good, decoded by PyAV and converted.

    Args:
        source: As for good_frames.
        frames: (K,) distinct numbers in the order of presentation.
        threads: For decoding.
        convert: What becomes of a PyAV frame.

    Yields:
        K results.
    """
    wanted = set(frames.tolist())
    for number, frame in _numbered(source, threads):
        if number in wanted:
            yield convert(frame)


def _spoilt(
    bad: NDArray[np.bool_], key: NDArray[np.bool_], between: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Which frames may show traces of bad ones.

    Key frame I, then P and B pictures; x is bad, s is spoilt:

        I B P B B x B P I B P
        . . . s s x s s . . .

    Args:
        bad: (N,) missing or guessed at.
        key: (N,) key frames.
        between: (N,) B pictures, and missing ones, which may be any.
    """
    spoilt = bad.copy()
    numbers = np.arange(len(bad))
    restarts = numbers[key & ~bad]
    anchors = numbers[~between & ~bad]
    done = 0
    for number in numbers[bad].tolist():
        if number < done:
            continue
        before = anchors[: np.searchsorted(anchors, number)]
        first = int(before[-1]) + 1 if len(before) else 0
        after = restarts[np.searchsorted(restarts, number) :]
        done = int(after[0]) if len(after) else len(bad)
        spoilt[first:done] = True
    return spoilt


def _numbered(source: Source, threads: int) -> Iterator[tuple[int, Any]]:
    """What decodes, errors passed over, each frame with its number in the order of presentation."""
    total = len(source.timeline.ticks)
    if source.keeps_times:
        ticks = source.timeline.ticks
        for frame in _decoded(source, threads, past_errors=True):
            if frame.pts is None:
                continue
            number = int(np.searchsorted(ticks, frame.pts - source.start))
            if number < total and ticks[number] == frame.pts - source.start:
                yield number, frame
        return
    # Frames can only be counted. Behind damage the count is right if none is missing in the end,
    # which a stream without any times cannot tell: of that, all that follows is lost.
    count = sum(1 for _ in _decoded(source, threads, past_errors=True))
    counted = source.timed and count == total
    for number, frame in zip(
        range(total), _decoded(source, threads, past_errors=counted), strict=False
    ):
        if frame.is_corrupt and not counted:
            return
        yield number, frame


def _decoded(source: Source, threads: int, past_errors: bool) -> Iterator[Any]:
    """Every frame that decodes, in the order of presentation."""
    with av.open(str(source.path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = threads
        for packet in _packets(container, stream):
            try:
                yield from stream.codec_context.decode(packet)
            except av.FFmpegError:
                if not past_errors:
                    return


def _packets(container: Any, stream: Any) -> Iterator[Any]:
    """The packets that are there as a whole, and None, which asks for what the decoder holds."""
    # An error means that the rest of the file cannot be found.
    with suppress(av.FFmpegError):
        for packet in container.demux(stream):
            if packet.size and not packet.is_corrupt:
                yield packet
    yield None
