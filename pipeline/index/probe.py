"""What is in a video file: read from its packets, because headers promise too much."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np


@dataclass(frozen=True)
class Probe:
    """A video file as its container describes it.

    Attributes:
        width: Of the upright picture, in pixels; 0 where the file cannot be read.
        height: Likewise.
        fps: Average rate, in frames per second.
        frames: Packets of the video stream; for a file that is cut off, those that it lists.
        duration_s: From the first frame to the end of the last.
        problem: Empty, or why the file cannot be read as a whole.
        frame_times_s: When each frame is shown, from the first frame on, to the microsecond; empty
            where the rate is steady and frame n is shown at n / fps.
    """

    width: int = 0
    height: int = 0
    fps: float = 0.0
    frames: int = 0
    duration_s: float = 0.0
    problem: str = ""
    frame_times_s: tuple[float, ...] = ()


def probe(path: Path) -> Probe:
    """Size, rate and length of a video, without decoding it.

    Returns:
        For a file that cannot be read as a whole, a Probe whose `problem` says why. The frames
        stage decides what becomes of it.
    """
    if path.stat().st_size == 0:
        return Probe(problem="zero bytes")
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                kinds = sorted({stream.type for stream in container.streams})
                return Probe(problem=f"only {', '.join(kinds)}" if kinds else "no video stream")
            found = _read(container)
    except (av.FFmpegError, UnicodeError) as error:
        return Probe(problem=f"no readable video ({getattr(error, 'strerror', None) or error})")
    return found if found.frames == 0 or not _turned(path) else _on_its_side(found)


def _read(container: Any) -> Probe:
    """What an open container says of its first video stream."""
    stream = container.streams.video[0]
    read = [packet for packet in container.demux(stream) if packet.size]
    packets = [packet for packet in read if not packet.is_discard]
    if not packets:
        return Probe(problem="no frames")
    time_base = Fraction(stream.time_base or Fraction(1, 90_000))
    rate = Fraction(stream.average_rate or 25)
    times = [packet.pts for packet in packets if packet.pts is not None]
    frame_times_s: tuple[float, ...] = ()
    if len(times) == len(packets):
        ticks = np.sort(np.array(times, dtype=np.int64))
        duration = int(ticks[-1] - ticks[0]) * time_base + 1 / rate
        # Rates such as 29.97 alternate between two whole numbers of ticks.
        if len(ticks) > 2 and np.ptp(np.diff(ticks)) > 1:
            seconds = (ticks - ticks[0]) * (time_base.numerator / time_base.denominator)
            frame_times_s = tuple(np.round(seconds, 6).tolist())
    else:
        duration = len(packets) / rate
    problem, count = "", len(packets)
    listed = len(stream.index_entries) if container.format.name.startswith("mov,mp4") else 0
    if len(read) < listed:
        problem = f"holds {len(read)} of the {listed} frames it lists"
        count += listed - len(read)
        duration = max(duration, (stream.duration or 0) * time_base)
    width, height = stream.codec_context.width, stream.codec_context.height
    return Probe(width, height, float(rate), count, float(duration), problem, frame_times_s)


def _on_its_side(found: Probe) -> Probe:
    return Probe(**vars(found) | {"width": found.height, "height": found.width})


def _turned(path: Path) -> bool:
    """Whether the picture is to be shown turned by 90 degrees; only a decoded frame tells."""
    try:
        with av.open(str(path)) as container:
            frame = next(container.decode(video=0), None)
            return frame is not None and frame.rotation % 180 != 0
    except av.FFmpegError:
        return False
