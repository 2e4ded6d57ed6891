"""A video file as its container describes it, read packet by packet."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import VideoError
from pipeline.frames.packets import PacketReader, PacketTable, table_of
from pipeline.frames.sample import Timeline

MEND = "Copy it anew from its source, or cut it with ffmpeg at the last good frame."
# Containers whose index leads to exactly the packet that is asked for.
_JUMPING = ("mov,mp4", "matroska")
# Containers in which a packet's time is its picture's. In AVI it is only a count. Program streams
# (mpeg) leave out the time of some packets.
_TIMED = (*_JUMPING, "mpegts")
_KEEPING_TIMES = (*_TIMED, "mpeg")
# A rate is steady enough to see that frames are missing when this share of the steps is alike.
_ALIKE = 0.9


@dataclass(frozen=True)
class Source:
    """A video file.

    Attributes:
        video: Identifier, for messages.
        path: The file.
        timeline: When each frame is shown.
        timed: Whether the container says when frames are shown; else they are taken to follow each
            other at its average rate.
        keeps_times: Whether the time of a packet is that of its picture.
        start: Time of the first frame, in ticks of the container.
        table: The packets; None where they do not tell which picture is shown when.
        jumps: Whether the container finds a key frame's packet by its time.
        steady: Whether decord finds any frame by its number. It does not where the frame rate
            varies or where pictures before a keyframe refer to the group before it (open GOP):
            there it returns a neighbour without a word.
    """

    video: str
    path: Path
    timeline: Timeline
    timed: bool
    keeps_times: bool
    start: int
    table: PacketTable | None
    jumps: bool
    steady: bool


def open_source(video: str, path: Path, whole: bool = True) -> Source:
    """Read the packets' times and kinds, which decodes nothing.

    Args:
        video: Identifier, for messages.
        path: The file.
        whole: Whether a file that is cut off is an error. If not, its timeline goes on to the
            length that its container promises, and has no gap where frames are missing.

    Raises:
        VideoError: The file is missing, empty, cut off, no video, or has no video stream.
    """
    if not path.is_file():
        raise VideoError(video, f"{path} does not exist. Is data.root where the videos are?")
    if path.stat().st_size == 0:
        raise VideoError(video, f"{path} has zero bytes. Copy it anew from its source.")
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                kinds = sorted({stream.type for stream in container.streams})
                found = f"only {', '.join(kinds)}" if kinds else "no stream at all"
                raise VideoError(video, f"{path} holds {found}, no video. Replace or remove it.")
            return _described(video, path, container, whole)
    except (av.FFmpegError, UnicodeError) as error:
        raise VideoError(video, f"{path} is no readable video ({words(error)}). {MEND}") from None


def words(error: Exception) -> str:
    """What the system or FFmpeg says, without a full stop."""
    return str(getattr(error, "strerror", None) or error).rstrip(".")


def _described(video: str, path: Path, container: Any, whole: bool) -> Source:
    stream = container.streams.video[0]
    reader = PacketReader(stream)
    packets = [reader.read(packet) for packet in _packets(container, stream, whole)]
    shown = [packet for packet in packets if packet.shown]
    if not shown:
        raise VideoError(video, f"{path} holds no frame. {MEND}")
    name = container.format.name
    # Of AVI the header may be wrong, which only matters when something is missing.
    listed = len(stream.index_entries) if name.startswith("mov,mp4") else 0
    missing = max(0, (listed or (0 if whole else stream.frames)) - len(packets))
    if missing and whole:
        raise VideoError(
            video, f"{path} holds {len(packets)} of the {listed} frames it lists. {MEND}"
        )
    if any(packet.pts is None for packet in shown):
        # Raw streams and old AVI files carry no times: one frame follows the other.
        ticks = np.arange(len(shown), dtype=np.int64)
        rate = Fraction(stream.average_rate or 25)
        timeline = Timeline(ticks, 1 / rate)
        return Source(video, path, timeline, False, False, 0, None, False, False)
    pts = np.array([packet.pts for packet in shown], dtype=np.int64)
    keys = [packet.key for packet in shown]
    latest_key = np.maximum.accumulate(np.where(keys, pts, np.iinfo(np.int64).min))
    ticks = np.sort(pts)
    # Rates such as 29.97 alternate between two whole numbers of ticks.
    steady = len(ticks) < 3 or np.ptp(np.diff(ticks)) <= 1
    start = int(ticks[0])
    if not whole:
        ticks = _without_gaps(ticks)
    if missing:
        ticks = np.append(ticks, _promised(ticks, missing, start + int(stream.duration or 0)))
    return Source(
        video,
        path,
        Timeline(ticks - start, Fraction(stream.time_base or Fraction(1, 90_000))),
        True,
        name.startswith(_KEEPING_TIMES) and len(np.unique(ticks)) == len(ticks),
        start,
        table_of(packets) if reader.understands and name.startswith(_TIMED) else None,
        name.startswith(_JUMPING),
        bool(steady and (pts >= latest_key).all()),
    )


def _packets(container: Any, stream: Any, whole: bool) -> Iterator[Any]:
    """The packets of a stream; where it need not be whole, up to one that cannot be found."""
    try:
        for packet in container.demux(stream):
            if packet.size:
                yield packet
    except av.FFmpegError:
        if whole:
            raise


def _without_gaps(ticks: NDArray[np.int64]) -> NDArray[np.int64]:
    """Times of a steady rate with those of frames that are missing between others filled in.

    A damaged packet may be one that the container no longer lists.

    Args:
        ticks: (N,) ascending.
    """
    steps = np.diff(ticks)
    usual = max(1, int(np.median(steps))) if len(steps) else 1
    if (np.abs(steps - usual) <= 1).sum() < _ALIKE * len(steps):
        return ticks
    filled = [ticks]
    for before in np.flatnonzero(steps > 1.5 * usual).tolist():
        count = round(int(steps[before]) / usual)
        filled.append(np.linspace(ticks[before], ticks[before + 1], count + 1).round()[1:-1])
    return np.sort(np.concatenate(filled)).astype(np.int64)


def _promised(ticks: NDArray[np.int64], missing: int, end: int) -> NDArray[np.int64]:
    """Times for the frames behind the end of a file that is cut off, evenly spaced.

    Args:
        ticks: (N,) of the frames that are there.
        missing: How many are not.
        end: When the last of those would end, as the container promises.

    Returns:
        (missing,) ticks, rising.
    """
    step = max(1, int(np.median(np.diff(ticks)))) if len(ticks) > 1 else 1
    last = max(end - step, int(ticks[-1]) + missing)
    return np.linspace(int(ticks[-1]), last, missing + 1).round().astype(np.int64)[1:]
