"""Which packets are decoded to see some pictures exactly as a full decode shows them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.frames.packets import PacketTable

# A span has at least this many packets to decode: jumping costs nothing then, and no thread waits
# long for the last one.
_SHORTEST = 100
# Packets between two needed ones from which on jumping is quicker than reading over them.
_JUMP = 500


@dataclass(frozen=True)
class Span:
    """A run of packets that is decoded by itself, from a picture that refers to none before it.

    Attributes:
        first: Number of its first packet, in the order of decoding.
        decode: (P,) bool for packets first, first + 1, ...: whether the decoder gets it.
        pts: (P,) int64, the packets' times in ticks.
        wanted: (W,) int64, the times of the pictures to be delivered, ascending.
        pictures: Pictures that come out when nothing is damaged.
    """

    first: int
    decode: NDArray[np.bool_]
    pts: NDArray[np.int64]
    wanted: NDArray[np.int64]
    pictures: int


def plan_spans(table: PacketTable, wanted: NDArray[np.int64], divide: bool) -> list[Span]:
    """The packets that the wanted pictures need, in spans that can be decoded side by side.

    Left out are pictures that nobody wants and nobody refers to; behind the last wanted picture of
    a group, all until the next fresh start; and groups without a wanted picture. The last group
    is decoded to its end, so that a file which breaks off does not pass as whole.

    Three groups of I P b P, numbered in the order of decoding, b unreferenced, 2 and 11 wanted:
    0 1 2 . | . . . . | 8 9 . 11 are decoded.

    Args:
        table: The stream's packets.
        wanted: (W,) distinct times in ticks, ascending, each that of a shown packet.
        divide: False: all in one span, for containers in which one cannot jump.

    Returns:
        Spans in the order of time, together with every wanted picture.
    """
    is_wanted = np.isin(table.pts, wanted) & table.shown
    starts = _fresh_starts(table)
    ends = np.append(starts[1:], len(table))
    needed = table.reference | is_wanted | table.parameters
    needed[-1] = True
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        hits = np.flatnonzero(is_wanted[start:end])
        if end < len(table):
            behind = start + int(hits[-1]) + 1 if len(hits) else start
            needed[behind:end] = False
    groups = [
        (start, start + int(np.flatnonzero(needed[start:end])[-1]) + 1)
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True)
        if needed[start:end].any()
    ]
    spans: list[Span] = []
    first, stop = groups[0]
    for start, end in groups[1:]:
        long = needed[first:stop].sum() >= _SHORTEST or start - stop > _JUMP
        if long and divide:
            spans.append(_span(table, needed, is_wanted, first, stop))
            first = start
        stop = end
    spans.append(_span(table, needed, is_wanted, first, stop))
    return spans


def _fresh_starts(table: PacketTable) -> NDArray[np.int64]:
    """Packets at which decoding can begin and before which it can end; 0 is the first of them.

    Every picture before such a packet in decoding order is shown before it, every later one after
    it. Parameter sets within the stream bind it together: it is one group.
    """
    if table.parameters.any():
        return np.zeros(1, dtype=np.int64)
    before = np.maximum.accumulate(table.pts)
    after = np.minimum.accumulate(table.pts[::-1])[::-1]
    closed = np.append(True, before[:-1] < after[1:]) & (table.pts == after) & table.fresh
    return np.union1d(0, np.flatnonzero(closed)).astype(np.int64)


def _span(
    table: PacketTable,
    needed: NDArray[np.bool_],
    is_wanted: NDArray[np.bool_],
    first: int,
    end: int,
) -> Span:
    part = slice(first, end)
    return Span(
        first,
        needed[part],
        table.pts[part],
        np.sort(table.pts[part][is_wanted[part]]),
        int((needed[part] & table.shown[part]).sum()),
    )
