"""Whether browsers play a video file."""

from pathlib import Path

import av

from pipeline.errors import VideoError

# What Chromium, Firefox and Safari decode. Of H.264 that is 8 bits with 4:2:0 chroma.
_CODECS = {"h264": "H.264", "vp8": "VP8", "vp9": "VP9", "av1": "AV1"}
_H264_FORMATS = ("yuv420p", "yuvj420p")


def why_not_played(path: Path) -> str:
    """Why browsers do not play this file, as the end of a sentence; empty where they do.

    Args:
        path: A video file.

    Raises:
        VideoError: It cannot be opened or holds no video.
    """
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise VideoError(path.stem, f"{path} holds no video.")
            codec = container.streams.video[0].codec_context
            kind = container.format.name
            if codec.name not in _CODECS and codec.name != "libdav1d":
                return f"it is coded as {codec.codec.long_name}"
            if codec.name == "h264" and codec.pix_fmt not in _H264_FORMATS:
                return f"its H.264 has pixels of the kind {codec.pix_fmt}"
            webm = kind.startswith("matroska") and path.suffix.lower() == ".webm"
            if not (webm or kind.startswith("mov,mp4")):
                return f"its container is {container.format.long_name}"
    except (av.FFmpegError, UnicodeError) as error:
        raise VideoError(path.stem, f"{path} cannot be opened as a video ({error}).") from None
    return ""
