"""What a container lists, packet by packet, and which packets others need: nothing is decoded."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

# Kinds of units in a packet, by the numbers of ITU-T H.264 (table 7-1) and H.265 (table 7-1).
_H264_SLICES = range(1, 6)
_H264_IDR = 5
_H264_PARAMETERS = (7, 8, 13, 15)
_HEVC_SLICES = range(32)
# IDR, and BLA: what follows them refers to nothing before them.
_HEVC_FRESH = range(16, 21)
_HEVC_PARAMETERS = (32, 33, 34)
_HEVC_NONREFERENCE = range(0, 15, 2)

Codec = Literal["h264", "hevc", "intra", "other"]


@dataclass(frozen=True)
class Packet:
    """One packet, in the order of decoding.

    Attributes:
        pts: When its picture is shown, in ticks; None where the container does not say.
        shown: False for packets before the start of an edit list, which are decoded only.
        key: The container calls it a key frame.
        fresh: Neither its picture nor any later one refers to a picture before it.
        reference: Another picture may refer to its picture.
        parameters: It changes the decoder's parameter sets.
    """

    pts: int | None
    shown: bool
    key: bool
    fresh: bool
    reference: bool
    parameters: bool


@dataclass(frozen=True)
class PacketTable:
    """All packets of a video stream, in the order of decoding.

    Attributes:
        pts: (N,) int64, distinct.
        shown, fresh, reference, parameters: (N,) bool, as in Packet.
    """

    pts: NDArray[np.int64]
    shown: NDArray[np.bool_]
    fresh: NDArray[np.bool_]
    reference: NDArray[np.bool_]
    parameters: NDArray[np.bool_]

    def __post_init__(self) -> None:
        columns = (self.shown, self.fresh, self.reference, self.parameters)
        if any(column.shape != self.pts.shape for column in columns):
            raise ValueError("the columns differ in length")

    def __len__(self) -> int:
        return len(self.pts)


def table_of(packets: list[Packet]) -> PacketTable | None:
    """The packets as columns; None where times are missing or not distinct."""
    pts = [packet.pts for packet in packets if packet.pts is not None]
    if len(pts) < len(packets) or len(set(pts)) < len(pts):
        return None
    flags = np.array([(p.shown, p.fresh, p.reference, p.parameters) for p in packets], dtype=bool)
    return PacketTable(np.array(pts, dtype=np.int64), *flags.reshape(-1, 4).T)


class PacketReader:
    """Tells packets apart by the headers of the units in them, as H.264 and H.265 define them.

    Where each picture stands alone (ProRes, JPEG) every packet is fresh and referred to by none.
    Of any other codec every packet counts as needed by all later ones.

    Args:
        stream: PyAV's video stream.
    """

    def __init__(self, stream: Any) -> None:
        context = stream.codec_context
        extradata = bytes(context.extradata or b"")
        self._codec: Codec = "other"
        if context.name in ("h264", "hevc"):
            self._codec = context.name
        elif context.codec.intra_only:
            self._codec = "intra"
        self._parameters = extradata
        # avcC and hvcC begin with version 1 and say how long a unit's length is; else start codes.
        self._length = 0
        if extradata[:1] == b"\x01":
            self._length = (extradata[4 if self._codec == "h264" else 21] & 3) + 1

    @property
    def understands(self) -> bool:
        """Whether it knows which pictures others refer to, and that a picture keeps its time."""
        return self._codec != "other"

    def read(self, packet: Any) -> Packet:
        """What this packet of PyAV's is."""
        shown, key = not packet.is_discard, packet.is_keyframe
        if self._codec == "intra":
            return Packet(packet.pts, shown, key, True, False, False)
        if self._codec == "other":
            return Packet(packet.pts, shown, key, False, True, False)
        fresh, reference, understood = False, False, False
        changes = packet.has_sidedata("new_extradata")
        content = memoryview(packet)
        units = _by_length(content, self._length) if self._length else _by_start_code(content)
        for unit in units:
            if self._codec == "h264":
                kind = unit[0] & 31
                slices, parameters = kind in _H264_SLICES, kind in _H264_PARAMETERS
                fresh |= kind == _H264_IDR
                reference |= slices and bool(unit[0] & 96)
            else:
                kind = unit[0] >> 1 & 63
                slices, parameters = kind in _HEVC_SLICES, kind in _HEVC_PARAMETERS
                fresh |= kind in _HEVC_FRESH
                # Pictures of a higher temporal layer may refer to a "non-reference" one below.
                lowest = unit[1] & 7 == 1
                reference |= slices and not (kind in _HEVC_NONREFERENCE and lowest)
            # What the container's header says already changes nothing.
            changes |= parameters and bytes(unit) not in self._parameters
            understood |= slices
        # A packet in which no slice was found is not one to leave out.
        return Packet(packet.pts, shown, key, fresh, reference or not understood, changes)


def _by_length(content: memoryview, size: int) -> Iterator[memoryview]:
    """The units of a packet in which each is preceded by its length in `size` bytes."""
    at = 0
    while at + size + 2 <= len(content):
        length = int.from_bytes(content[at : at + size], "big")
        if length >= 2:
            yield content[at + size : at + size + length]
        at += size + length


def _by_start_code(content: memoryview) -> Iterator[memoryview]:
    """The units of a packet in which each is preceded by the bytes 0, 0, 1."""
    text = bytes(content)
    at = text.find(b"\0\0\1")
    while at >= 0:
        end = text.find(b"\0\0\1", at + 3)
        unit = text[at + 3 : end if end >= 0 else None].rstrip(b"\0")
        if len(unit) >= 2:
            yield memoryview(unit)
        at = end
