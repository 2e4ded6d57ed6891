"""GRU layers as they are trained on a processor: torch's result, in less than half of the time.

torch goes through all frames of one layer, then of the next, and adds up the gradient of the
weights frame by frame. What it waits for is memory: 3 MB of weights for each frame and layer of 512
units. Here a layer follows the one before it by some frames, so that their products run side by
side, each on a core of its own (the wavefront of Appleyard et al., "Optimizing Performance of
Recurrent Neural Networks on GPUs", 2016); and the gradient of the weights is one product over all
frames. The result is the same within rounding (benchmarks/README.md has the times).

Arrays over steps are skewed: layer l is at frame t in step t + l * _LAG, in row [t + l * _LAG, l].
What the input brings to the gates is in torch's order (r, z, n), what the state brings in the order
(n, r, z). Their gradients for r and z are the same, so both are parts of one array (n, r, z, n).
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import torch
from torch import nn
from torch.nn import functional

# Frames by which a layer follows the one before it. Its inputs are computed for so many at once.
_LAG = 16


def gru(
    layers: nn.GRU, x: torch.Tensor, state: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """What `layers(x, state)` returns, with a quicker backward pass.

    Args:
        layers: Causal, batch first.
        x: (B, T, D).
        state: (L, B, H) before the first frame; None: zeros.

    Returns:
        The last layer's outputs (B, T, H), and the state (L, B, H) after the last frame.
    """
    batch, frames = x.shape[:2]
    depth, hidden = layers.num_layers, layers.hidden_size
    if state is None:
        state = x.new_zeros(depth, batch, hidden)
    kept = None
    if depth > 1 and layers.training and layers.dropout:
        ones = x.new_ones(frames, batch, hidden)
        kept = torch.stack([functional.dropout(ones, layers.dropout) for _ in range(depth - 1)])
    w_ih, w_hh, b_ih, b_hh = zip(*layers.all_weights, strict=True)
    first = functional.linear(x.transpose(0, 1), w_ih[0], b_ih[0])
    y, end = _Gru.apply(first, state, kept, *w_hh, *b_hh, *w_ih[1:], *b_ih[1:])
    return y.transpose(0, 1), end


def _spans(frames: int, depth: int) -> Iterator[tuple[int, int, slice]]:
    """Steps [start, stop), at most _LAG, and the layers that are at work in them."""
    ends = [frames + layer * _LAG for layer in range(depth)]
    for start, stop in pairwise(sorted({*range(0, ends[-1], _LAG), *ends})):
        at_work = [layer for layer in range(depth) if layer * _LAG <= start < ends[layer]]
        if at_work:
            yield start, stop, slice(at_work[0], at_work[-1] + 1)


class _Gru(torch.autograd.Function):
    """The recurrence, with the equations of torch.nn.GRU."""

    @staticmethod
    def forward(
        ctx: Any,
        first: torch.Tensor,
        state: torch.Tensor,
        kept: torch.Tensor | None,
        *weights: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Outputs of the last layer (T, B, H) and the end state (L, B, H).

        Args:
            ctx: For the backward pass.
            first: (T, B, 3 H), what the input brings to the gates of the first layer.
            state: (L, B, H).
            kept: (L - 1, T, B, H), factors of dropout between the layers; None: no dropout.
            weights: Those that torch calls weight_hh and bias_hh of all layers, then weight_ih and
                bias_ih of all but the first.
        """
        depth, _, hidden = state.shape
        frames = len(first)
        w, b, w_ih, b_ih = _by_name(weights, depth)
        # (L, H, 3 H), in the order in which it is read: some 7 % quicker to multiply with.
        w_t = first.new_empty(depth, hidden, 3 * hidden)
        bias = first.new_empty(depth, 1, 3 * hidden)
        for layer in range(depth):
            for here, torchs in (
                (slice(hidden), slice(-hidden, None)),
                (slice(hidden, None), slice(-hidden)),
            ):
                w_t[layer, :, here] = w[layer][torchs].t()
                bias[layer, :, here] = b[layer][torchs]
        x = _skewed(first, depth)  # what the input brings to each gate
        past = torch.empty_like(x)  # and what the state brings
        rz, n = past.new_empty(*past.shape[:-1], 2 * hidden), x.new_empty(*x.shape[:-1], hidden)
        hs = x.new_empty(len(x) + 1, *state.shape)  # before each step
        for layer in range(depth):
            hs[layer * _LAG, layer] = state[layer]
        gates = (
            *(x[..., : 2 * hidden], x[..., 2 * hidden :]),
            *(past, past[..., hidden:], past[..., :hidden]),
            *(rz, rz[..., :hidden], rz[..., hidden:], n),
        )
        for start, stop, at_work in _spans(frames, depth):
            for layer in range(max(at_work.start, 1), at_work.stop):
                y = hs[start + 1 - _LAG : stop + 1 - _LAG, layer - 1]
                if kept is not None:
                    y = y * kept[layer - 1, start - layer * _LAG : stop - layer * _LAG]
                x[start:stop, layer] = functional.linear(y, w_ih[layer - 1], b_ih[layer - 1])
            w_, bias_ = w_t[at_work], bias[at_work]
            states = hs[start : stop + 1, at_work]
            columns = (*(gate[start:stop, at_work] for gate in gates), states[:-1], states[1:])
            for x_rz_, x_n_, past_, past_rz_, past_n_, rz_, r_, z_, n_, before, after in zip(
                *(column.unbind() for column in columns), strict=True
            ):
                torch.baddbmm(bias_, before, w_, out=past_)
                torch.add(x_rz_, past_rz_, out=rz_).sigmoid_()
                torch.addcmul(x_n_, r_, past_n_, out=n_).tanh_()
                torch.lerp(n_, before, z_, out=after)
        ctx.save_for_backward(w_t, past[..., :hidden], rz, n, hs, kept, *w_ih)
        ends = [hs[frames + layer * _LAG, layer] for layer in range(depth)]
        return hs[1 + len(x) - frames :, -1].contiguous(), torch.stack(ends)

    @staticmethod
    def backward(ctx: Any, dy: torch.Tensor, dend: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """The gradients of what `forward` takes, in its order."""
        w_t, past_n, rz, n, hs, kept, *w_ih = ctx.saved_tensors
        frames, (depth, _, hidden) = len(dy), dend.shape
        r, z = rz[..., :hidden], rz[..., hidden:]
        # What a change of the state after a step does to its gates, for all steps at once. Rows of
        # layers that are not at work hold anything, and are not read.
        k_n = (1 - z) * (1 - n * n)
        k_rz = (k_n * past_n * r * (1 - r), (hs[:-1] - n) * z * (1 - z))
        k = torch.stack((k_n * r, *k_rz, k_n), dim=-2)
        dgates = torch.empty_like(k)
        of_state, of_input = dgates[..., :3, :].flatten(-2), dgates[..., 1:, :].flatten(-2)
        # Of the states before each step. What the loop does not know stands there before it comes.
        dh = torch.zeros_like(hs)
        dh[1 + len(n) - frames :, -1] = dy
        for layer in range(depth):
            dh[frames + layer * _LAG, layer] += dend[layer]

        for start, stop, at_work in reversed(list(_spans(frames, depth))):
            w_ = w_t[at_work].transpose(1, 2)
            states = dh[start : stop + 1, at_work]
            steps = (array[start:stop, at_work] for array in (z, k, dgates, of_state))
            columns = (states[:-1], states[1:], states[1:, ..., None, :], *steps)
            for before, after, after_, z_, k_, dgates_, of_state_ in reversed(
                list(zip(*(column.unbind() for column in columns), strict=True))
            ):
                torch.mul(after_, k_, out=dgates_)
                before.addcmul_(after, z_).baddbmm_(of_state_, w_)
            for layer in range(max(at_work.start, 1), at_work.stop):
                dbelow = of_input[start:stop, layer] @ w_ih[layer - 1]
                if kept is not None:
                    dbelow *= kept[layer - 1, start - layer * _LAG : stop - layer * _LAG]
                dh[start + 1 - _LAG : stop + 1 - _LAG, layer - 1] += dbelow

        dw, db, dw_ih, db_ih = [], [], [], []
        dstate = torch.stack([dh[layer * _LAG, layer] for layer in range(depth)])
        for layer in range(depth):
            own = slice(layer * _LAG, layer * _LAG + frames)
            rows = of_state[own, layer].flatten(0, 1)
            before = hs[own, layer].flatten(0, 1)
            dw.append(torch.cat((rows[:, hidden:].t() @ before, rows[:, :hidden].t() @ before)))
            db.append(rows.sum(dim=0).roll(-hidden))
            if layer:
                rows = of_input[own, layer].flatten(0, 1)
                y = hs[own.start + 1 - _LAG : own.stop + 1 - _LAG, layer - 1]
                y = y if kept is None else y * kept[layer - 1]
                dw_ih.append(rows.t() @ y.flatten(0, 1))
                db_ih.append(rows.sum(dim=0))
        return of_input[:frames, 0], dstate, None, *dw, *db, *dw_ih, *db_ih


def _by_name(weights: tuple[torch.Tensor, ...], depth: int) -> tuple[tuple[torch.Tensor, ...], ...]:
    """The weights of `_Gru.forward`, by their names."""
    cuts = (0, depth, 2 * depth, 3 * depth - 1, 4 * depth - 2)
    return tuple(weights[start:stop] for start, stop in pairwise(cuts))


def _skewed(first: torch.Tensor, depth: int) -> torch.Tensor:
    """An array (S, L, ...), the first layer's rows those of (T, ...), and room for the others."""
    x = first.new_empty(len(first) + (depth - 1) * _LAG, depth, *first.shape[1:])
    x[: len(first), 0] = first
    return x
