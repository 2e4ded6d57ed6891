"""Where pictures come from: a camera, an address, a file, or standard input."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np

from pipeline.errors import PipelineError

Kind = Literal["camera", "network", "file", "pipe"]

_ADDRESSES = ("rtsp", "rtsps", "http", "https")
# Seconds to open a source, and seconds without a packet after which an address counts as lost.
_TIMEOUT_S = (10, 5)


class LostError(PipelineError):
    """A source that cannot be opened, or breaks off; it may come back."""


@dataclass(frozen=True)
class Source:
    """A source of pictures, which can be opened again and again.

    Attributes:
        name: For messages and the page: without the password that an address may hold.
        kind: What it is.
        opened: What is opened: a file, a device, an address.
        size: (width, height) in pixels, of a pipe; asked of a camera; else None.
        rate: Pictures per second, likewise.
    """

    name: str
    kind: Kind
    opened: str = ""
    size: tuple[int, int] | None = None
    rate: Fraction | None = None

    @property
    def returns(self) -> bool:
        """Whether it is opened again when it breaks off."""
        return self.kind in ("camera", "network")

    @property
    def paced(self) -> bool:
        """Whether it gives pictures at their pace; a file and a pipe give them all at once."""
        return self.kind in ("camera", "network")

    def frames(self) -> Iterator[tuple[float, av.VideoFrame]]:
        """Open it.

        Yields:
            Seconds since the first picture, on the clock of the source, and the picture.

        Raises:
            LostError: It cannot be opened or breaks off.
            PipelineError: It holds no video, or ends before or within a picture.
        """
        came = False
        try:
            for picture in self._raw() if self.kind == "pipe" else self._decoded():
                came = True
                yield picture
        except av.error.InvalidDataError as error:
            why = error.strerror
            if self.kind == "network" and not came:
                # FFmpeg says of silence what it says of nonsense.
                why = f"no video came from there within {_TIMEOUT_S[0]} s, or something else"
            raise LostError(f"{self.name}: {why}") from None
        except (av.FFmpegError, OSError) as error:
            raise LostError(f"{self.name}: {error.strerror or type(error).__name__}") from None
        if not came and not self.returns:
            raise PipelineError(
                f"{self.name}: ended before its first picture. Did what should write them fail?"
            )

    def _decoded(self) -> Iterator[tuple[float, av.VideoFrame]]:
        with av.open(self.opened, **self._how()) as container:
            if not container.streams.video:
                raise PipelineError(f"{self.name}: has no video in it.")
            stream = container.streams.video[0]
            # Threads that decode several frames at once hand each one over late.
            stream.thread_type = "SLICE"
            start_s: float | None = None
            for packet in container.demux(stream):
                for frame in self._of_packet(packet):
                    time_s = frame.time or 0.0
                    start_s = time_s if start_s is None else start_s
                    yield time_s - start_s, frame

    def _of_packet(self, packet: Any) -> list[av.VideoFrame]:
        try:
            return list(packet.decode())
        except av.error.InvalidDataError:
            # Packets get lost on networks. The pictures go on with the next key frame.
            if self.kind == "network":
                return []
            raise

    def _how(self) -> dict[str, Any]:
        """Arguments of av.open."""
        if self.kind == "file":
            return {}
        if self.kind == "network":
            # Not `fflags: nobuffer`: it drops what was read to find out the format, the first key
            # frame with it, and cameras send one every ten seconds or so.
            options = {"flags": "low_delay"}
            if self.opened.startswith("rtsp"):
                options["rtsp_transport"] = "tcp"  # what UDP loses is seen in the picture
            return {"options": options, "timeout": _TIMEOUT_S}
        options = {}
        if self.size is not None:
            options["video_size"] = f"{self.size[0]}x{self.size[1]}"
        if self.rate is not None:
            options["framerate"] = str(self.rate)
        return {"format": "v4l2", "options": options, "timeout": _TIMEOUT_S}

    def _raw(self) -> Iterator[tuple[float, av.VideoFrame]]:
        assert self.size is not None and self.rate is not None
        width, height = self.size
        if sys.stdin is None:  # closed by whoever started this
            raise PipelineError("standard input: is closed. Hand pictures over through a pipe.")
        # Without a buffer of Python's, whose lock a thread would hold when the program ends.
        with open(sys.stdin.fileno(), "rb", buffering=0, closefd=False) as pipe:
            number = 0
            while True:
                image = np.empty((height, width, 3), dtype=np.uint8)
                room, read = memoryview(image.data).cast("B"), 0
                while read < len(room) and (more := pipe.readinto(room[read:])):
                    read += more
                if read == 0:
                    return
                if read < len(room):
                    raise PipelineError(
                        f"standard input: ended within a picture, after {read} of {len(room)} "
                        f"bytes. Is it rgb24 of --size {width}x{height}?"
                    )
                yield float(number / self.rate), av.VideoFrame.from_ndarray(image, format="rgb24")
                number += 1


def source_of(asked: str, size: tuple[int, int] | None, rate: Fraction | None) -> Source:
    """The source of this name, which is not opened yet.

    Args:
        asked: `-`, an address, a camera's number or device, or a file.
        size: (width, height) of the pictures; needed by `-`, a wish to a camera.
        rate: Pictures per second, likewise.

    Raises:
        PipelineError: There is no such thing, or size and rate are missing or have no meaning.
    """
    if asked == "-":
        if size is None or rate is None:
            raise PipelineError(
                "standard input: pictures without --size and --rate. It takes raw rgb24, such as "
                "that of `ffmpeg -i ... -f rawvideo -pix_fmt rgb24 -`, with --size 1280x720 "
                "--rate 25."
            )
        return Source("standard input", "pipe", "-", size, rate)
    if asked.isdecimal() or asked.startswith("/dev/"):
        device = f"/dev/video{asked}" if asked.isdecimal() else asked
        if not Path(device).exists():
            there = sorted(str(path) for path in Path("/dev").glob("video*"))
            found = f"This machine has {', '.join(there)}." if there else "This machine has none."
            raise PipelineError(f"{device}: there is no such camera. {found}")
        return Source(device, "camera", device, size, rate)
    if size is not None or rate is not None:
        raise PipelineError(
            f"{_without_password(asked)}: --size and --rate are for cameras and standard input; "
            "files and addresses say themselves what they hold. Leave them out."
        )
    if "://" in asked:
        scheme = asked.split("://")[0]
        if scheme not in _ADDRESSES:
            raise PipelineError(
                f"{_without_password(asked)}: an address of {scheme}. Allowed: "
                f"{', '.join(_ADDRESSES)}. What else ffmpeg reads, it can hand over on standard "
                "input (SOURCE -)."
            )
        return Source(_without_password(asked), "network", asked)
    if not Path(asked).is_file():
        raise PipelineError(
            f"{asked}: no such file. SOURCE is a file, a camera (0 or /dev/video0), an address "
            "(rtsp://... or http://...), or - for standard input."
        )
    return Source(asked, "file", asked)


def _without_password(address: str) -> str:
    """The address without `user:password@`, which page and messages must not show."""
    if "://" not in address:
        return address
    scheme, _, rest = address.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"
