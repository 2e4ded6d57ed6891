"""Linear recurrences over time, all frames at once."""

import math
from typing import Any

import torch


class Scan(torch.autograd.Function):
    """h_t = a_t h_(t-1) + b_t for all t, with a backward pass that is such a scan from the end."""

    @staticmethod
    def forward(ctx: Any, a: torch.Tensor, b: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
        """All h (B, T, ...) of a and b (B, T, ...), a between 0 and 1, and h (B, ...) before."""
        hs = _scan(a, b, h)
        ctx.save_for_backward(a, hs, h)
        return hs

    @staticmethod
    def backward(ctx: Any, dhs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Of a, b and h."""
        a, hs, h = ctx.saved_tensors
        # What a change of h_t does: g_t = dh_t + a_(t+1) g_(t+1).
        after = torch.cat((a[:, 1:], torch.zeros_like(a[:, :1])), dim=1)
        g = _scan(after.flip(1), dhs.flip(1), torch.zeros_like(h)).flip(1)
        before = torch.cat((h[:, None], hs[:, :-1]), dim=1)
        return g * before, g, a[:, 0] * g[:, 0]


def _scan(a: torch.Tensor, b: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
    """The recurrence in two levels of about sqrt(T) steps.

    First all chunks at once, as if each began with zero, and the products of a from its start; then
    from chunk to chunk. Products of decays only fall, so nothing overflows and nothing is divided.
    """
    length = a.shape[1]
    chunk = math.isqrt(length)
    chunks = -(-length // chunk)
    a, b = (_cut(x, chunks, chunk) for x in (a, b))
    for t in range(1, chunk):
        b[:, :, t].addcmul_(a[:, :, t], b[:, :, t - 1])
        a[:, :, t].mul_(a[:, :, t - 1])
    starts = [h]
    for number in range(chunks - 1):
        starts.append(torch.addcmul(b[:, number, -1], a[:, number, -1], starts[-1]))
    hs = b.addcmul_(a, torch.stack(starts, dim=1)[:, :, None])
    return hs.flatten(1, 2)[:, :length]


def _cut(x: torch.Tensor, chunks: int, chunk: int) -> torch.Tensor:
    """A copy (B, chunks, chunk, ...) of (B, T, ...), with zeros behind its end."""
    whole = x.new_zeros(len(x), chunks * chunk, *x.shape[2:])
    whole[:, : x.shape[1]] = x
    return whole.view(len(x), chunks, chunk, *x.shape[2:])
