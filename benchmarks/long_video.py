"""Long videos out of short ones, kept in a folder so that they are made once."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

SIZES = {"480p": (854, 480), "1080p": (1920, 1080)}
# x264 without B-frames: every picture is referred to by the next one.
NOTHING_SKIPPABLE = {"bf": "0"}
# Frames that are encoded before they are repeated.
_ENCODED = 500


def long_video(clip: Path, folder: Path, size: str, skippable: bool, minutes: float) -> Path:
    """A video of this size and length; the clip's own packets where they are what is wanted."""
    kind = "" if skippable else "-no-b"
    target = folder / f"{clip.stem}-{size}{kind}-{minutes:g}min.mp4"
    if target.exists():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    short = clip
    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        native = (stream.codec_context.width, stream.codec_context.height) == SIZES[size]
    if not (native and skippable):
        short = folder / f"{clip.stem}-{size}{kind}.mp4"
        if not short.exists():
            _encode(clip, short, SIZES[size], {} if skippable else NOTHING_SKIPPABLE)
    _repeat(short, target, minutes)
    return target


def _encode(clip: Path, target: Path, size: tuple[int, int], options: dict[str, str]) -> None:
    with av.open(str(clip)) as container, av.open(str(target), "w") as out:
        stream = out.add_stream("libx264", rate=25, options={"crf": "23", **options})
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        for number, frame in zip(range(_ENCODED), container.decode(video=0), strict=False):
            scaled = frame.reformat(*size)
            scaled.pts, scaled.time_base, scaled.pict_type = number, Fraction(1, 25), 0
            out.mux(stream.encode(scaled))
        out.mux(stream.encode(None))


def _packets(path: Path) -> Iterator[Any]:
    with av.open(str(path)) as container:
        for packet in container.demux(container.streams.video[0]):
            if packet.size:
                yield packet


def _repeat(source: Path, target: Path, minutes: float) -> None:
    """Write the packets of a video again and again, until it is long enough."""
    packets = list(_packets(source))
    length = max(p.pts for p in packets) + packets[0].duration
    rounds = max(1, round(minutes * 60 / float(length * packets[0].time_base)))
    with av.open(str(source)) as first, av.open(str(target), "w") as out:
        copy = out.add_stream_from_template(first.streams.video[0])
        for number in range(rounds):
            # Read anew each time: writing a packet hands its data over.
            for packet in _packets(source):
                packet.pts += number * length
                packet.dts += number * length
                packet.stream = copy
                out.mux(packet)
