"""Key frames from all over a video, by which the border around its view is found."""

import av
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import VideoError
from pipeline.frames.decode import upright
from pipeline.frames.source import MEND, Source, words


def keyframes(source: Source, count: int, past_errors: bool = False) -> NDArray[np.uint8]:
    """Up to `count` key frames from all over the video: (N, H, W, 3) uint8 RGB, upright.

    Args:
        source: From open_source.
        count: How many.
        past_errors: Whether those that do not decode are left out, instead of being an error.

    Raises:
        VideoError: The file is damaged there, or no key frame decodes.
    """
    try:
        find = _keyframes_by_time if source.timed else _keyframes
        images = find(source, count, past_errors)
    except av.FFmpegError as error:
        raise VideoError(
            source.video, f"{source.path} is damaged ({words(error)}). {MEND}"
        ) from None
    if not images:
        raise VideoError(source.video, f"{source.path}: no key frame decodes. {MEND}")
    return np.stack(images)


def _keyframes_by_time(source: Source, count: int, past_errors: bool) -> list[NDArray[np.uint8]]:
    """Those nearest before evenly spaced moments, found by jumping there."""
    images: dict[int, NDArray[np.uint8]] = {}
    with av.open(str(source.path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.skip_frame = "NONKEY"
        last = int(source.timeline.ticks[-1])
        for tick in np.linspace(0, last, count).astype(np.int64).tolist():
            try:
                container.seek(source.start + tick, stream=stream, backward=True)
                frame = next(container.decode(stream), None)
            except av.FFmpegError:
                if not past_errors:
                    raise
                continue
            if frame is not None and frame.pts is not None:
                images.setdefault(frame.pts, upright(frame))
    return [images[pts] for pts in sorted(images)]


def _keyframes(source: Source, count: int, past_errors: bool) -> list[NDArray[np.uint8]]:
    """Every n-th one, where there are no times to jump to: all packets are read, few decoded."""
    with av.open(str(source.path)) as container:
        packets = container.demux(container.streams.video[0])
        total = sum(bool(packet.size and packet.is_keyframe) for packet in packets)
    if total == 0:
        return []
    chosen = set(np.linspace(0, total - 1, count).round().astype(np.int64).tolist())
    images = []
    with av.open(str(source.path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.skip_frame = "NONKEY"
        number = 0
        for packet in container.demux(stream):
            if packet.size and not packet.is_keyframe:
                continue
            # The empty packet at the end asks for what the decoder still holds.
            try:
                if not packet.size or number in chosen:
                    images += [upright(frame) for frame in stream.codec_context.decode(packet)]
            except av.FFmpegError:
                if not past_errors:
                    raise
            number += 1
    return images
