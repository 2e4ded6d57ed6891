"""A selective state space model in the manner of Mamba, in plain torch.

Gu and Dao, "Mamba: Linear-Time Sequence Modeling with Selective State Spaces", 2023. In each block
a state of E x N numbers follows h_t = exp(delta_t A) h_(t-1) + delta_t B_t x_t and is read as
y_t = C_t h_t + D x_t, where delta, B and C depend on the frame. Causal, without a limit to what it
sees; the cost is linear in the length. Departures from the published code: the recurrence is
computed by a scan in two levels in place of a fused kernel, dropout stands before each residual,
the matrices are drawn as torch draws them but for A and the bias of delta, and the rows that enter
are taken less their mean over the video so far (blocks/video_mean.py).
"""

import math

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional

from pipeline.networks.temporal.blocks.scan import Scan
from pipeline.networks.temporal.blocks.video_mean import VideoMean
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
    """Linear layer in, less the video's mean so far, blocks with a selective state, linear head.

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
        self.enter = nn.Linear(dim, width, bias=False)
        self.shift = VideoMean(width, causal=True)
        self.blocks = nn.ModuleList(Block(width, state, dropout) for _ in range(layers))
        self.head = nn.Sequential(
            nn.RMSNorm(width), nn.Dropout(dropout), nn.Linear(width, num_classes)
        )

    def forward(
        self, features: torch.Tensor, mask: torch.Tensor, state: State | None = None
    ) -> Outputs:
        """See TemporalNetwork; the state holds the past of the mean and of each block."""
        seen, pasts = state or (None, (None,) * len(self.blocks))
        # What the blocks add up is fp32, also where products are taken in bfloat16.
        x, seen = self.shift(self.enter(self.standardise(features)), mask, seen)  # (B, T, M)
        kept = []
        for block, past in zip(self.blocks, pasts, strict=True):
            x, past = block(x, past)
            kept.append(past)
        return Outputs([self.head(x)], (seen, tuple(kept)))
