"""Sampled frames of a video, in order, decoded with PyAV or decord."""

import importlib.metadata
import importlib.util
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import av
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import VideoError
from pipeline.frames.lanes import side_by_side
from pipeline.frames.plan import Span, plan_spans
from pipeline.frames.source import MEND, Source

T = TypeVar("T")
# What becomes of a frame of PyAV's. One is made for each thread.
Conversion = Callable[[Any], T]

# Frames that decord hands over at once, at native size: 50 MB at 1920 x 1080.
_BATCH = 8


class _DiffersError(Exception):
    """Something else came out than the container promises."""


def decoder_for(source: Source, wanted: str) -> str:
    """The decoder that reads this file: `wanted` where it can be trusted."""
    return "decord" if wanted == "decord" and source.steady and has_decord() else "pyav"


def has_decord() -> bool:
    """Whether decord is installed."""
    return importlib.util.find_spec("decord") is not None


def versions() -> dict[str, str]:
    """The decoders that are installed, with their versions."""
    names = {"pyav": "av", "decord": "decord"} if has_decord() else {"pyav": "av"}
    return {name: importlib.metadata.version(package) for name, package in names.items()}


def read_frames(
    source: Source, frames: NDArray[np.int64], threads: int, conversion: Callable[[], Conversion[T]]
) -> Iterator[T]:
    """The frames with these numbers, decoded by PyAV and converted where they were decoded.

    The packets that these frames need are decoded in spans side by side, each by one thread, which
    costs a tenth less than threads that share a stream. What comes out is compared with what the
    container lists; where it differs, everything is decoded one after the other from the start, so
    that the pixels are those of a full decode and damage is counted.

    Args:
        source: From open_source.
        frames: (K,) distinct numbers in the order of presentation.
        threads: For decoding.
        conversion: Makes a function of a PyAV frame; called once for each thread.

    Yields:
        K results.

    Raises:
        VideoError: The file ends early or is damaged; says how many frames decode.
    """
    done = 0
    if source.table is not None:
        wanted = source.start + source.timeline.ticks[frames]
        spans = plan_spans(source.table, wanted, source.jumps)
        workers = min(threads, len(spans))
        try:
            for result in side_by_side(
                spans, lambda: _span_reader(source, threads // workers, conversion()), workers
            ):
                yield result
                done += 1
            return
        except (_DiffersError, av.FFmpegError):
            pass
    yield from _read_whole(source, frames, done, threads, conversion())


def read_decord(
    source: Source, frames: NDArray[np.int64], threads: int
) -> Iterator[NDArray[np.uint8]]:
    """The frames with these numbers, decoded by decord: (H, W, 3) uint8 RGB, upright.

    Args:
        source: One whose rate is steady.
        frames: (K,) numbers in the order of presentation.
        threads: Of the decoder.

    Raises:
        VideoError: The file ends early or is damaged; says how many frames decode.
    """
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


def upright(frame: Any) -> NDArray[np.uint8]:
    """A PyAV frame as (H, W, 3) uint8 RGB at native size, turned as its metadata asks."""
    image = frame.to_ndarray(format="rgb24", threads=1)
    turned: NDArray[np.uint8] = np.rot90(image, frame.rotation // 90)
    return np.ascontiguousarray(turned)


@contextmanager
def _span_reader(
    source: Source, threads: int, convert: Conversion[T]
) -> Iterator[Callable[[Span], Iterator[T]]]:
    """A function that gives the wanted frames of a span, converted; for one thread."""
    with av.open(str(source.path)) as container:
        stream = container.streams.video[0]
        _use_threads(stream, threads)

        def read(span: Span) -> Iterator[T]:
            # At the start of the file nothing has been read yet.
            if span.first:
                container.seek(int(span.pts[0]), stream=stream, backward=True)
            wanted = iter(span.wanted.tolist())
            following = next(wanted, None)
            pictures = 0
            for frame in _decoded_span(container, stream, span):
                pictures += 1
                if frame.is_corrupt:
                    raise _DiffersError
                if following is not None and frame.pts >= following:
                    if frame.pts > following:
                        raise _DiffersError
                    yield convert(frame)
                    following = next(wanted, None)
            if following is not None or pictures != span.pictures:
                raise _DiffersError

        yield read


def _decoded_span(container: Any, stream: Any, span: Span) -> Iterator[Any]:
    """Every frame that comes out of a span's packets, in the order of presentation."""
    position = 0
    for packet in container.demux(stream):
        # A jump may land at an earlier key frame.
        if not packet.size or (position == 0 and packet.pts != span.pts[0]):
            continue
        if packet.pts != span.pts[position]:
            raise _DiffersError
        if span.decode[position]:
            yield from stream.codec_context.decode(packet)
        position += 1
        if position == len(span.pts):
            break
    yield from stream.codec_context.decode(None)


def _read_whole(
    source: Source, frames: NDArray[np.int64], done: int, threads: int, convert: Conversion[T]
) -> Iterator[T]:
    """The frames with these numbers, but for the first `done`, out of a decode of everything.

    A picture that the decoder had to guess at spoils others until the next key frame: an error if
    one of the frames is among them.
    """
    wanted, remaining = set(frames.tolist()), set(frames[done:].tolist())
    shown, guessed, touched = 0, -1, False
    for frame in _decoded(source, threads):
        if frame.key_frame:
            guessed, touched = -1, False
        touched |= shown in wanted
        if frame.is_corrupt:
            guessed = shown
        if touched and guessed >= 0:
            raise _guessed(source, guessed)
        if shown in remaining:
            yield convert(frame)
        shown += 1
    if shown != len(source.timeline.ticks):
        raise _short(source, shown)


def _decoded(source: Source, threads: int) -> Iterator[Any]:
    """Every frame that decodes, in the order of presentation, up to the first error."""
    try:
        with av.open(str(source.path)) as container:
            stream = container.streams.video[0]
            _use_threads(stream, threads)
            yield from container.decode(stream)
    except av.FFmpegError:
        # The count of what came tells the caller where the file breaks off.
        return


def _use_threads(stream: Any, threads: int) -> None:
    stream.thread_type = "AUTO"
    stream.codec_context.thread_count = threads


def _damaged(source: Source, threads: int) -> VideoError:
    return _short(source, sum(1 for _ in _decoded(source, threads)))


def _guessed(source: Source, frame: int) -> VideoError:
    which = f"frame {frame}"
    if frame < len(source.timeline.ticks):
        which += f", at {source.timeline.seconds(frame):.1f} s,"
    return VideoError(source.video, f"{source.path}: {which} is damaged. {MEND}")


def _short(source: Source, shown: int) -> VideoError:
    total = len(source.timeline.ticks)
    if shown == 0:
        why = f"none of its {total} frames decodes; it is encrypted or damaged"
    elif shown < total:
        why = f"{shown} of {total} frames decode; it is truncated or damaged"
    else:
        why = f"{shown} frames decode, but its container lists {total}"
    return VideoError(source.video, f"{source.path}: {why}. {MEND}")
