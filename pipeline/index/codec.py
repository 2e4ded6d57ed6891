"""How a video is coded, as its container says, without reading the video."""

from pathlib import Path
from typing import Any

import av


def codec_of(path: Path) -> str:
    """The name of a video's codec, such as h264; empty where the file cannot be read."""
    try:
        with av.open(str(path)) as container:
            return codec_name(container.streams.video[0]) if container.streams.video else ""
    except (av.FFmpegError, UnicodeError):
        return ""


def codec_name(stream: Any) -> str:
    """The name of the format and not of the decoder that this machine has for it.

    Args:
        stream: A video stream of PyAV's.
    """
    return str(stream.codec_context.codec.canonical_name)
