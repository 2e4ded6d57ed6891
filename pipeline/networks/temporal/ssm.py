"""A selective state space model in the manner of Mamba, in plain torch.

Gu and Dao, "Mamba: Linear-Time Sequence Modeling with Selective State Spaces", 2023. In each block
a state of E x N numbers follows h_t = exp(delta_t A) h_(t-1) + delta_t B_t x_t and is read as
y_t = C_t h_t + D x_t, where delta, B and C depend on the frame. Causal, without a limit to what it
sees; the cost is linear in the length. Departures from the published code: the recurrence is
computed by a scan in two levels in place of a fused kernel, dropout stands before each residual,
and the matrices are drawn as torch draws them but for A and the bias of delta.
"""

import math
from typing import Any

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional

from pipeline.networks.temporal.contract import Outputs, State, TemporalModule
from pipeline.settings import Number, Section

# The paper's: E = 2 M, a convolution over 4 frames, and delta drawn between these at the start.
_EXPAND, _KERNEL = 2, 4
_SMALLEST, _LARGEST = 0.001, 0.1

# Of a block: the columns before its convolution (B, E, 3), and h (B, E, N).
Past = tuple[torch.Tensor, torch.Tensor]


class Params(Section):
    """The numbers of the model; the size of the state is the paper's.

    Attributes:
        layers: Blocks.
        width: M, length of the rows between the blocks.
        state: N, numbers that each channel remembers.
        dropout: Before each residual and before the head.
    """

    layers: int = Field(4, ge=1)
    width: int = Field(64, ge=1)
    state: int = Field(16, ge=1)
    dropout: Number = Field(0.1, ge=0, lt=1)


def build(dim: int, num_classes: int, params: Params) -> "StateSpaceModel":
    """An untrained network for D features and C classes."""
    return StateSpaceModel(
        dim, num_classes, params.layers, params.width, params.state, params.dropout
    )


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


class Block(nn.Module):
    """Norm, gated selective state space, dropout, residual.

    Args:
        width: M, length of the rows.
        state: N, numbers that each channel remembers.
        dropout: Before the residual.
    """

    def __init__(self, width: int, state: int, dropout: float) -> None:
        super().__init__()
        inner = _EXPAND * width  # E
        self.ranks = (math.ceil(width / 16), state, state)
        self.norm = nn.RMSNorm(width)
        self.enter = nn.Linear(width, 2 * inner, bias=False)
        self.conv = nn.Conv1d(inner, inner, _KERNEL, groups=inner)
        self.select = nn.Linear(inner, sum(self.ranks), bias=False)
        self.delta = nn.Linear(self.ranks[0], inner)
        self.log_a = nn.Parameter(torch.arange(1, state + 1).float().log().repeat(inner, 1))
        self.skip = nn.Parameter(torch.ones(inner))
        self.leave = nn.Linear(inner, width, bias=False)
        self.dropout = nn.Dropout(dropout)
        delta = torch.empty(inner).uniform_(math.log(_SMALLEST), math.log(_LARGEST)).exp()
        with torch.no_grad():
            self.delta.bias.copy_(delta + torch.log(-torch.expm1(-delta)))  # softplus gives delta

    def forward(self, rows: torch.Tensor, past: Past | None) -> tuple[torch.Tensor, Past]:
        """Rows (B, T, M) to (B, T, M), and the past of the frames that follow."""
        x, gate = self.enter(self.norm(rows)).chunk(2, dim=2)  # (B, T, E) each
        x = x.transpose(1, 2)
        if past is None:
            x = functional.pad(x, (_KERNEL - 1, 0))
            h = self.log_a.new_zeros(len(x), *self.log_a.shape)
        else:
            x, h = torch.cat((past[0], x), dim=2), past[1]
        columns = x[:, :, 1 - _KERNEL :]
        x = functional.silu(self.conv(x).transpose(1, 2))
        y, h = self._remember(x, h)
        y = self.leave((y + self.skip * x) * functional.silu(gate))
        return rows + self.dropout(y), (columns, h)

    def _remember(self, x: torch.Tensor, h: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What is read from the state, (B, T, E), and the last state, (B, E, N)."""
        delta, b, c = self.select(x).split(self.ranks, dim=2)
        # Over hours bfloat16 would lose what the state adds up.
        kind = self.log_a.dtype
        delta = functional.softplus(self.delta(delta)).to(kind)  # (B, T, E)
        decay = torch.exp(delta[..., None] * -torch.exp(self.log_a))  # (B, T, E, N)
        inflow = (delta * x.to(kind))[..., None] * b.to(kind)[:, :, None]
        hs = Scan.apply(decay, inflow, h)
        with torch.autocast(x.device.type, enabled=False):
            return (hs @ c.to(kind)[..., None])[..., 0], hs[:, -1]


class StateSpaceModel(TemporalModule):
    """Linear layer in, blocks with a selective state, linear head.

    Args:
        dim: D, length of the feature vector.
        num_classes: C.
        layers: Blocks.
        width: M, length of the rows between the blocks.
        state: N, numbers that each channel remembers.
        dropout: Before each residual and before the head.
    """

    causal = True
    receptive_field = None
    trains_in_windows = True

    def __init__(
        self, dim: int, num_classes: int, layers: int, width: int, state: int, dropout: float
    ) -> None:
        super().__init__(dim, num_classes)
        self.enter = nn.Linear(dim, width)
        self.blocks = nn.ModuleList(Block(width, state, dropout) for _ in range(layers))
        self.head = nn.Sequential(
            nn.RMSNorm(width), nn.Dropout(dropout), nn.Linear(width, num_classes)
        )

    def forward(
        self, features: torch.Tensor, mask: torch.Tensor, state: State | None = None
    ) -> Outputs:
        """See TemporalNetwork; the state holds the past of each block."""
        # What the blocks add up stays in fp32, also where products are taken in bfloat16.
        x = self.enter(self.standardise(features)).to(self.enter.weight.dtype)  # (B, T, M)
        kept = []
        for number, block in enumerate(self.blocks):
            x, past = block(x, state[number] if state else None)
            kept.append(past)
        return Outputs([self.head(x)], tuple(kept))
