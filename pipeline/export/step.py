"""Parts of causal networks whose state has one size from the first frame on.

In training the past that attention keeps grows until it fills its window, and a U-Net over time
computes its lower rates only when they are due. The inputs of a graph have fixed sizes, so here a
past is as long as the window from the start, with a column that says which of its frames are there,
and the lower rates are computed for every frame and taken when they are due. Each class below
stands in for the one that it derives from, whose weights it reads. A state of zeros is the start of
a video, and results equal those of the original within rounding.
"""

from copy import deepcopy

import torch
from torch import nn
from torch.nn import functional

from pipeline.export.state import flat, nested
from pipeline.networks.temporal import asformer, rnn, row_bilstm, transsvnet, tunes
from pipeline.networks.temporal.blocks.tcn import refined
from pipeline.networks.temporal.blocks.transformer import TransformerLayer
from pipeline.networks.temporal.contract import Outputs, State, TemporalModule

# Of the frames before: keys and values (B, H, W, d) each, and 1 for those that are there (B, W).
Past = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def attended(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, past: Past | None, before: int
) -> tuple[torch.Tensor, Past]:
    """Attention of one frame to itself and the frames before it, and the past of the next one.

    Args:
        query: (B, H, 1, d), as key and value.
        key: Of the frame.
        value: Of the frame.
        past: None at a video's start.
        before: Frames back, W.
    """
    if past is None:
        blank = key.new_zeros(*key.shape[:2], before, key.shape[3])
        past = blank, blank.clone(), blank[:, 0, :, 0].clone()
    keys = torch.cat((past[0], key), dim=2)
    values = torch.cat((past[1], value), dim=2)
    there = _with_present(past[2])
    y = functional.scaled_dot_product_attention(
        query, keys, values, attn_mask=there[:, None, None] > 0
    )
    return y, (keys[:, :, 1:], values[:, :, 1:], there[:, 1:])


def _with_present(there: torch.Tensor) -> torch.Tensor:
    """Which of the past (B, W) is there, and the present frame, which is: (B, W + 1)."""
    return functional.pad(there, (0, 1), value=1.0)


class StepTransformerLayer(TransformerLayer):
    """One frame through a layer of a transformer with a window."""

    def forward(
        self, x: torch.Tensor, mask: torch.Tensor, cache: State | None
    ) -> tuple[torch.Tensor, State]:
        """Rows (B, 1, M) to (B, 1, M), and the past of the next frame."""
        assert self.window is not None
        y = self.project(self.attention_norm(x)).unflatten(2, (3, self.heads, -1))
        query, key, value = y.permute(2, 0, 3, 1, 4)  # (B, H, 1, d) each
        y, past = attended(query, key, value, cache, self.window - 1)
        x = x + self.leave(y.transpose(1, 2).flatten(2))
        return x + self.feed_forward(x), past


class StepWindowedAttention(asformer.WindowedAttention):
    """One frame through the attention of a causal ASFormer."""

    def forward(
        self, x: torch.Tensor, source: torch.Tensor, mask: torch.Tensor, past: State | None
    ) -> tuple[torch.Tensor, State]:
        """Queries and keys from x, values from source, (B, M, 1) each, to (B, M, 1).

        The past is that of the layer, whose first tensor belongs to its convolution.
        """
        query, key, value = (
            part.transpose(1, 2)[:, None]  # one head: (B, 1, 1, M / 2)
            for part in (self.query(x), self.key(x), self.value(source))
        )
        y, kept = attended(query, key, value, past[1:] if past else None, self.before)
        return self.leave(functional.relu(y[:, 0].transpose(1, 2))), kept


class StepAttention(rnn.Attention):
    """One frame through the attention of a recurrent network."""

    def forward(
        self, y: torch.Tensor, mask: torch.Tensor, past: State | None
    ) -> tuple[torch.Tensor, State]:
        """Hidden states (B, 1, H) to vectors (B, 1, H), and the past of the next frame."""
        # Hidden states are keys and values in one, and are kept once.
        cached = None if past is None else (past[0], past[0], past[1])
        found, (kept, _, there) = attended(
            self.query(y)[:, None], y[:, None], y[:, None], cached, self.before
        )
        return torch.tanh(self.join(torch.cat((found[:, 0], y), dim=2))), (kept, there)


class StepTransSvnet(transsvnet.TransSvnet):
    """One frame through Trans-SVNet."""

    def forward(
        self, features: torch.Tensor, mask: torch.Tensor, state: State | None = None
    ) -> Outputs:
        """See TemporalNetwork; the state holds that of the TCN and its last logits."""
        x = self.standardise(features)  # (B, 1, D)
        tcn_state, past = state or (None, None)
        logits, tcn_state = refined(self.tcn, x, mask, tcn_state)
        if past is None:
            blank = x.new_zeros(len(x), self.window - 1, self.num_classes)
            past = blank, blank[:, :, 0].clone()
        rows = torch.cat((past[0], logits[-1]), dim=1)  # (B, window, C)
        there = _with_present(past[1])
        encoded = self.encoder(rows, rows, there > 0)
        answer = self.decoder(torch.tanh(self.query(x)), encoded, there > 0)
        return Outputs([answer], (tcn_state, (rows[:, 1:], there[:, 1:])))


class StepRowBiLstm(row_bilstm.RowBiLstm):
    """One frame of each video, all at once however many videos there are."""

    def forward(
        self, features: torch.Tensor, mask: torch.Tensor, state: State | None = None
    ) -> Outputs:
        """See TemporalNetwork; there is no state."""
        read = self._read(self.standardise(features)[:, 0])
        return Outputs([self.head(read)[:, None]], None)


class StepLevel(tunes.Level):
    """One frame through a level of a causal TUNeS: at an odd frame the half rate is held."""

    def forward(
        self, x: torch.Tensor, mask: torch.Tensor, state: State | None
    ) -> tuple[torch.Tensor, State]:
        """Maps (B, M, 1) to (B, M, 1), and the state for the next frame.

        The state holds what the blocks and the inner level keep, and between them two columns for
        the next convolution, the last column of the half rate, and 1 before an odd frame.
        """
        frames = mask[:, None].to(x.dtype)
        before, held, inner, after = state or (None,) * 4
        skip, before = self.before(x, frames, before)
        columns, last, odd = held or (
            skip.new_zeros(*skip.shape[:2], 2),
            skip.new_zeros(skip.shape),
            skip.new_zeros(len(skip), 1),
        )
        whole = torch.cat((columns, skip), dim=2)
        low, later = self.inner(self.halve(whole), mask, inner)
        low = _where(odd, last, low)
        inner = later if inner is None else _where(odd, inner, later)
        y = self.join(torch.cat((skip, low), dim=1)) * frames
        y, after = self.after(y, frames, after)
        return y, (before, (whole[:, :, 1:], low, 1 - odd), inner, after)


def _where(flag: torch.Tensor, some: State, others: State) -> State:
    """The tensors of one state or the other, by a flag (B, 1) for each video."""
    pairs = zip(flat(some), flat(others), strict=True)
    chosen = (
        torch.where(flag.reshape(-1, *[1] * (one.dim() - 1)) > 0, one, other)
        for one, other in pairs
    )
    return nested(some, chosen)


_STEPS: dict[type[nn.Module], type[nn.Module]] = {
    TransformerLayer: StepTransformerLayer,
    asformer.WindowedAttention: StepWindowedAttention,
    rnn.Attention: StepAttention,
    row_bilstm.RowBiLstm: StepRowBiLstm,
    transsvnet.TransSvnet: StepTransSvnet,
    tunes.Level: StepLevel,
}


def with_fixed_state(network: TemporalModule) -> TemporalModule:
    """A copy of a causal network, in evaluation mode, whose steps have states of one size."""
    copied = deepcopy(network).requires_grad_(False)
    for module in copied.modules():
        module.__class__ = _STEPS.get(type(module), type(module))
    return copied
