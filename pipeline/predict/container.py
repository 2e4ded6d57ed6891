"""What the container of a video says of it, without reading the video."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av

from pipeline.index.codec import codec_name


@dataclass(frozen=True)
class Container:
    """A video as its container describes it; zeros where that is not said.

    Attributes:
        width: In pixels, as it is coded.
        height: Likewise.
        fps: Average rate, in frames per second.
        duration_s: From the first frame to the end of the last.
        codec: Such as h264.
    """

    width: int = 0
    height: int = 0
    fps: float = 0.0
    duration_s: float = 0.0
    codec: str = ""


def read_container(path: Path) -> Container:
    """The description; of a file that cannot be read, an empty one: its decoder says why."""
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                return Container()
            stream = container.streams.video[0]
            return Container(
                stream.codec_context.width,
                stream.codec_context.height,
                float(stream.average_rate or Fraction(0)),
                float(container.duration or 0) / 1e6,  # FFmpeg counts microseconds
                codec_name(stream),
            )
    except (av.FFmpegError, UnicodeError):
        return Container()
