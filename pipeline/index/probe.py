"""What is in a video file: read from its packets, because headers promise too much."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av


@dataclass(frozen=True)
class Probe:
    """A video file as its container describes it.

    Attributes:
        width: Of the upright picture, in pixels; 0 where the file cannot be read.
        height: Likewise.
        fps: Average rate.
        frames: Packets of the video stream.
        duration_s: From the first frame to the end of the last.
        problem: Empty, or why the file cannot be read.
    """

    width: int = 0
    height: int = 0
    fps: float = 0.0
    frames: int = 0
    duration_s: float = 0.0
    problem: str = ""


def probe(path: Path) -> Probe:
    """Size, rate and length of a video, without decoding it.

    Returns:
        For a file that is no readable video, a Probe whose `problem` says why. The frames stage
        decides what becomes of it.
    """
    if path.stat().st_size == 0:
        return Probe(problem="zero bytes")
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                kinds = sorted({stream.type for stream in container.streams})
                return Probe(problem=f"only {', '.join(kinds)}" if kinds else "no video stream")
            stream = container.streams.video[0]
            packets = [p for p in container.demux(stream) if p.size and not p.is_discard]
            if not packets:
                return Probe(problem="no frames")
            time_base = Fraction(stream.time_base or Fraction(1, 90_000))
            rate = Fraction(stream.average_rate or 25)
            times = [packet.pts for packet in packets if packet.pts is not None]
            if len(times) == len(packets):
                duration = (max(times) - min(times)) * time_base + 1 / rate
            else:
                duration = len(packets) / rate
            width, height = stream.codec_context.width, stream.codec_context.height
    except (av.FFmpegError, UnicodeError) as error:
        return Probe(problem=f"no readable video ({getattr(error, 'strerror', None) or error})")
    if _turned(path):
        width, height = height, width
    return Probe(width, height, float(rate), len(packets), float(duration))


def _turned(path: Path) -> bool:
    """Whether the picture is to be shown turned by 90 degrees; only a decoded frame tells."""
    try:
        with av.open(str(path)) as container:
            frame = next(container.decode(video=0), None)
            return frame is not None and frame.rotation % 180 != 0
    except av.FFmpegError:
        return False
