"""A copy of a video in H.264 that every browser and player shows, frame by frame."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from pipeline.atomic import replacing
from pipeline.errors import PipelineError, VideoError
from pipeline.frames.source import MEND, Source, open_source, words
from pipeline.progress import Progress

# Sound that MP4 holds and browsers play as it is; any other is coded anew.
_KEPT_SOUND = ("aac", "mp3", "opus", "flac")
# A picture that is hard to tell from the original, at about the speed of decoding it.
_QUALITY = {"crf": "20", "preset": "veryfast"}
_BT709 = 1  # in the tables of H.264 and FFmpeg
_HD_HEIGHT = 720


@dataclass(frozen=True)
class Picture:
    """A frame as it is coded: 8 bits, 4:2:0, of limited range. Painting changes the planes.

    Attributes:
        y: (H, W) uint8 luma; H and W are even.
        u: (H / 2, W / 2) uint8 chroma.
        v: (H / 2, W / 2) uint8 chroma.
        bt709: Whether colours are coded by BT.709, as in HD, and not by BT.601.
    """

    y: NDArray[np.uint8]
    u: NDArray[np.uint8]
    v: NDArray[np.uint8]
    bt709: bool


Paint = Callable[[Picture, float], None]
"""Draws into a picture that is shown at a time in seconds after the first one."""


def write_copy(source: Path, target: Path, what: str, paint: Paint | None = None) -> None:
    """Write a copy with the same frames at the same times, upright, with its sound.

    A row or column is cut off where the size is odd, because H.264 has none.

    Args:
        source: The video.
        target: The MP4 file.
        what: What is being done, for the progress.
        paint: Changes each frame.

    Raises:
        VideoError: The video cannot be read.
        PipelineError: The target is the source, or no MP4 file.
    """
    if target.suffix.lower() != ".mp4":
        raise PipelineError(f"{target}: the copy is an MP4 file. End its name in .mp4.")
    if target.resolve() == source.resolve():
        raise PipelineError(f"{target}: that is the video itself. Give the copy another name.")
    opened = open_source(source.stem, source, whole=False)
    with replacing(target) as partial:
        try:
            with (
                av.open(str(source)) as container,
                av.open(str(partial), "w", format="mp4", options={"movflags": "faststart"}) as copy,
            ):
                _copy(container, copy, opened, what, paint)
        except av.FFmpegError as error:
            raise VideoError(source.stem, f"{source} ({words(error)}). {MEND}") from None


def _copy(container: Any, copy: Any, source: Source, what: str, paint: Paint | None) -> None:
    """Decode, paint, encode, and pass the sound through, as the packets come."""
    video = container.streams.video[0]
    video.thread_type = "AUTO"
    sound = container.streams.audio[0] if container.streams.audio else None
    frames = _timed(source)
    encoder = None
    audio = None if sound is None else _Sound(sound, copy, container)
    last_s = float(source.timeline.ticks[-1] * source.timeline.time_base)
    minutes = max(1, math.ceil(last_s / 60))
    with Progress(what, minutes) as progress:
        done = 0
        for packet in container.demux([stream for stream in (video, sound) if stream is not None]):
            if audio is not None and packet.stream is sound:
                if packet.dts is not None or packet.size == 0:
                    audio.pass_on(packet)
                continue
            for frame in packet.decode():
                ticks = frames(frame)
                if ticks is None:
                    continue
                buffer, picture = _picture(frame)
                time_s = float(ticks * source.timeline.time_base)
                if paint is not None:
                    paint(picture, time_s)
                if encoder is None:
                    encoder = _encoder(copy, video, frame, picture, source)
                coded = av.VideoFrame.from_ndarray(buffer, format="yuv420p")
                coded.time_base = source.timeline.time_base
                coded.pts = ticks + _offset(container, source)
                coded.duration = frame.duration or 0
                copy.mux(encoder.encode(coded))
                while done < minutes and time_s >= 60 * (done + 1):
                    done += 1
                    progress.step(f"{done} min")
        if encoder is None:
            raise VideoError(source.video, f"{source.path}: no frame of it decodes. {MEND}")
        copy.mux(encoder.encode(None))
        for _ in range(minutes - done):
            progress.step("to the end")
