"""A copy of a video in H.264 that every browser and player shows, frame by frame."""

import math
from collections.abc import Callable
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
# In the tables of H.264 and FFmpeg.
_BT709, _BT601, _LIMITED = 1, (5, 6), 1
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
    """Pass pictures and sound on as the packets come, so that little of them is held."""
    video = container.streams.video[0]
    video.thread_type = "AUTO"
    streams = [video, *container.streams.audio[:1]]
    start_s = Fraction(container.start_time or 0, av.time_base)
    pictures = _Pictures(copy, video, source, start_s, paint)
    sound = _Sound(copy, streams[1], start_s) if len(streams) > 1 else None
    minutes, done = max(1, math.ceil(source.timeline.seconds(-1) / 60)), 0
    with Progress(what, minutes) as progress:
        for packet in container.demux(streams):
            if packet.stream is not video:
                assert sound is not None
                sound.pass_on(packet)
                continue
            time_s = pictures.pass_on(packet)
            while time_s >= 60 * (done + 1):
                done += 1
                progress.step(f"minute {done}")
        pictures.finish()
        if done < minutes:
            progress.step("to the end")


class _Pictures:
    """The frames of a video on their way through a painter into an encoder."""

    def __init__(
        self, copy: Any, video: Any, source: Source, start_s: Fraction, paint: Paint | None
    ) -> None:
        self._copy = copy
        self._video = video
        self._source = source
        self._paint = paint
        time_base = source.timeline.time_base
        # The first frame may come after the first sound.
        first_s = source.start * time_base - start_s if source.timed else Fraction(0)
        self._offset = max(0, round(first_s / time_base))
        self._count = 0
        self._last = -1
        self._encoder = self._open()

    def pass_on(self, packet: Any) -> float:
        """Decode, paint and encode; the time of the latest frame, in seconds after the first."""
        for frame in packet.decode():
            tick = self._tick(frame)
            self._count += 1
            if tick > self._last:
                self._last = tick
                self._write(frame, tick)
        return float(max(0, self._last) * self._source.timeline.time_base)

    def finish(self) -> None:
        """Write what the encoder still holds."""
        self._copy.mux(self._encoder.encode(None))

    def _tick(self, frame: Any) -> int:
        """When a frame is shown, counted from the first one."""
        if self._source.keeps_times and frame.pts is not None:
            return int(frame.pts) - self._source.start
        ticks = self._source.timeline.ticks
        return int(ticks[self._count]) if self._count < len(ticks) else self._last + 1

    def _write(self, frame: Any, tick: int) -> None:
        time_base = self._source.timeline.time_base
        buffer, picture = _picture(frame)
        if self._paint is not None:
            self._paint(picture, float(tick * time_base))
        coded = av.VideoFrame.from_ndarray(buffer, format="yuv420p")
        coded.time_base, coded.pts = time_base, tick + self._offset
        coded.duration = frame.duration or 0
        self._copy.mux(self._encoder.encode(coded))

    def _open(self) -> Any:
        """The encoder, with the clock, the shape of pixels and the colours of the original.

        A copy must know all its tracks before the first packet, which may be one of sound. So the
        first frame is decoded once more for what it tells.
        """
        with av.open(str(self._source.path)) as container:
            frame: Any = next(container.decode(video=0), None)
        if frame is None:
            raise VideoError(
                self._source.video, f"{self._source.path}: no frame of it decodes. {MEND}"
            )
        _, picture = _picture(frame)
        rate = self._video.average_rate or Fraction(25)
        encoder = self._copy.add_stream("libx264", rate=rate, options=dict(_QUALITY))
        encoder.height, encoder.width = picture.y.shape
        encoder.pix_fmt = "yuv420p"
        encoder.time_base = self._source.timeline.time_base
        context, shape = encoder.codec_context, self._video.sample_aspect_ratio
        context.time_base = self._source.timeline.time_base
        if shape:
            turned = frame.rotation % 180 != 0
            context.sample_aspect_ratio = 1 / shape if turned else shape
        context.color_primaries, context.color_trc = frame.color_primaries, frame.color_trc
        context.colorspace, context.color_range = frame.colorspace, _LIMITED
        return encoder


class _Sound:
    """A track of sound on its way into a copy: as it is where MP4 holds it, else as AAC."""

    def __init__(self, copy: Any, track: Any, start_s: Fraction) -> None:
        self._copy = copy
        self._shift = round(start_s / track.time_base)
        self._kept = track.codec_context.name.removesuffix("float") in _KEPT_SOUND
        if self._kept:
            self._target = copy.add_stream_from_template(track)
        else:
            self._target = copy.add_stream("aac", rate=track.codec_context.sample_rate)
            self._target.layout = track.codec_context.layout

    def pass_on(self, packet: Any) -> None:
        """One packet; an empty one ends the track."""
        if not self._kept:
            for frame in packet.decode():
                if frame.pts is not None:
                    frame.pts -= self._shift
                self._copy.mux(self._target.encode(frame))
            if not packet.size:
                self._copy.mux(self._target.encode(None))
        elif packet.size and packet.dts is not None:
            packet.pts -= self._shift
            packet.dts -= self._shift
            packet.stream = self._target
            self._copy.mux(packet)


def _picture(frame: Any) -> tuple[NDArray[np.uint8], Picture]:
    """A decoded frame, upright and of even size.

    Returns:
        (1.5 H, W) as the encoder takes it, and its planes, which are views of that.
    """
    turns = frame.rotation // 90
    bt709 = frame.colorspace == _BT709 or (
        frame.colorspace not in _BT601 and min(frame.width, frame.height) >= _HD_HEIGHT
    )
    planar = frame.reformat(format="yuv420p", dst_color_range=_LIMITED)
    y, u, v = (
        np.rot90(
            np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[:, : plane.width], turns
        )
        for plane in planar.planes
    )
    height, width = (size - size % 2 for size in y.shape)
    buffer = np.empty(height * width * 3 // 2, np.uint8)
    luma, chroma = height * width, height * width // 4
    picture = Picture(
        buffer[:luma].reshape(height, width),
        buffer[luma : luma + chroma].reshape(height // 2, width // 2),
        buffer[luma + chroma :].reshape(height // 2, width // 2),
        bt709,
    )
    picture.y[:] = y[:height, :width]
    picture.u[:] = u[: height // 2, : width // 2]
    picture.v[:] = v[: height // 2, : width // 2]
    return buffer.reshape(-1, width), picture
