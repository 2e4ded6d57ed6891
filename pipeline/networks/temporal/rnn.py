"""LSTM and GRU over the features of a video.

Hochreiter and Schmidhuber, "Long Short-Term Memory", 1997; Cho et al., "Learning Phrase
Representations using RNN Encoder-Decoder", 2014; over the features of a CNN as in Jin et al.,
"SV-RCNet", IEEE TMI 2018. Departures from SV-RCNet: the CNN is trained beforehand or not at all,
there are two layers, and whole videos or windows with carried state take the place of clips.

With attention, each frame's hidden state h looks back at those of the last frames, its own among
them, and the head reads tanh(W [c; h]) of what it finds, c: Luong et al., "Effective Approaches to
Attention-based Neural Machine Translation", 2015, equation 5 with the score "general". Departures:
it attends within its own sequence, and scores are divided by the root of the width as in Vaswani et
al., "Attention Is All You Need", 2017.

Training a GRU on a processor does not use the backward pass of torch's layer, which adds up the
gradient of the weights frame by frame. Here that is one matrix product over all frames: the same
result, within rounding, in half of the time (benchmarks/README.md).
"""

from typing import Any, Literal

import torch
from pydantic import Field, SerializerFunctionWrapHandler, model_serializer
from torch import nn
from torch.nn import functional

from pipeline.networks.temporal.blocks.attention import last, windowed_attention, with_past
from pipeline.networks.temporal.contract import Outputs, State, TemporalModule
from pipeline.settings import Number, Section


class Params(Section):
    """The numbers of a recurrent network; in params.yaml they stand directly below `model`.

    Attributes:
        rnn: The cell.
        hidden: Units per layer and direction.
        layers: Recurrent layers.
        dropout: Between the layers and before the head.
        bidirectional: Reads from the end too: better offline, not causal.
        attention: Whether each hidden state attends to those of the frames before it.
        attention_frames: To so many, the present one included.
    """

    rnn: Literal["lstm", "gru"] = "lstm"
    hidden: int = Field(512, ge=1)
    layers: int = Field(2, ge=1)
    dropout: Number = Field(0.3, ge=0, lt=1)
    bidirectional: bool = False
    attention: bool = False
    attention_frames: int = Field(64, ge=1)

    @model_serializer(mode="wrap")
    def _without_what_is_off(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without attention as before there was any, so that fingerprints and headers stay."""
        found: dict[str, Any] = dump(self)
        if self.attention:
            return found
        return {name: value for name, value in found.items() if not name.startswith("attention")}


def build(dim: int, num_classes: int, params: Params) -> "RecurrentNetwork":
    """An untrained network for D features and C classes."""
    return RecurrentNetwork(
        dim,
        num_classes,
        cell=params.rnn,
        hidden=params.hidden,
        layers=params.layers,
        dropout=params.dropout,
        bidirectional=params.bidirectional,
        attention_frames=params.attention_frames if params.attention else None,
    )


class RecurrentNetwork(TemporalModule):
    """Recurrent layers and a linear head. Causal unless bidirectional.

    Args:
        dim: D, length of the feature vector.
        num_classes: C.
        cell: "lstm" or "gru".
        hidden: Units per layer and direction.
        layers: Recurrent layers.
        dropout: Between the layers and before the head.
        bidirectional: Also read the video from its end; then logits depend on the future.
        attention_frames: Hidden states that each one attends to, its own included; None: no
            attention.
    """

    receptive_field = None

    def __init__(
        self,
        dim: int,
        num_classes: int,
        cell: Literal["lstm", "gru"],
        hidden: int,
        layers: int,
        dropout: float,
        bidirectional: bool,
        attention_frames: int | None = None,
    ) -> None:
        super().__init__(dim, num_classes)
        self.causal = self.trains_in_windows = not bidirectional
        recurrent = nn.LSTM if cell == "lstm" else nn.GRU
        self.recurrent = recurrent(
            dim,
            hidden,
            layers,
            batch_first=True,
            # torch warns about dropout between layers where there is only one.
            dropout=dropout if layers > 1 else 0.0,
            bidirectional=bidirectional,
        )
        self.dropout = nn.Dropout(dropout)
        width = hidden * (2 if bidirectional else 1)
        self.head = nn.Linear(width, num_classes)
        self.attention = Attention(width, attention_frames) if attention_frames else None

    def forward(
        self, features: torch.Tensor, mask: torch.Tensor, state: State | None = None
    ) -> Outputs:
        """See TemporalNetwork; the state is that of torch's layer.

        With attention it is a pair: that, and the hidden states (B, P, H) of the last frames.
        """
        past = None
        if self.attention is not None and state is not None:
            state, past = state
        x = self.standardise(features)  # (B, T, D)
        # torch has no bfloat16 recurrence for processors: an LSTM would stop the training.
        with torch.autocast("cpu", enabled=False):
            y, state = self._recur(x, mask, state)
        if self.attention is not None:
            y, past = self.attention(y, mask, past)
            state = (state, past) if self.causal else None
        return Outputs([self.head(self.dropout(y))], state)

    def _recur(
        self, x: torch.Tensor, mask: torch.Tensor, state: State | None
    ) -> tuple[torch.Tensor, State | None]:
        if self.causal:
            # Padding is at the end, where it changes no earlier output.
            if isinstance(self.recurrent, nn.GRU) and x.is_cpu and torch.is_grad_enabled():
                return _gru(self.recurrent, x, state)
            y, state = self.recurrent(x, state)
            return y, state
        lengths = mask.sum(dim=1).clamp(min=1).cpu()
        packed = nn.utils.rnn.pack_padded_sequence(
            x, lengths, batch_first=True, enforce_sorted=False
        )
        y, _ = self.recurrent(packed)
        y, _ = nn.utils.rnn.pad_packed_sequence(y, batch_first=True, total_length=x.shape[1])
        return y, None


class Attention(nn.Module):
    """Each hidden state, and what it finds among the last ones, to a vector of the same width.

    Args:
        width: H, of a hidden state.
        frames: That it attends to, the present one included.
    """

    def __init__(self, width: int, frames: int) -> None:
        super().__init__()
        self.before = frames - 1
        self.query = nn.Linear(width, width, bias=False)
        self.join = nn.Linear(2 * width, width, bias=False)

    def forward(
        self, y: torch.Tensor, mask: torch.Tensor, past: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Hidden states (B, T, H) to vectors (B, T, H), and the past of the frames that follow.

        Args:
            y: (B, T, H).
            mask: (B, T) bool, true for frames.
            past: (B, P, H), hidden states before y; None at a video's start.
        """
        # One head: (B, 1, T, H).
        whole = with_past(y[:, None], None if past is None else past[:, None])
        found = windowed_attention(self.query(y)[:, None], whole, whole, mask, self.before)
        joined = torch.cat((found[:, 0], y), dim=2)
        return torch.tanh(self.join(joined)), last(whole, self.before)[:, 0]


def _gru(
    gru: nn.GRU, x: torch.Tensor, state: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """What `gru(x, state)` returns, with a quicker backward pass."""
    if state is None:
        state = x.new_zeros(gru.num_layers, len(x), gru.hidden_size)
    ends: list[torch.Tensor] = []
    y = x.transpose(0, 1)  # (T, B, D)
    for layer, (w_ih, w_hh, b_ih, b_hh) in enumerate(gru.all_weights):
        if layer:
            y = functional.dropout(y, gru.dropout, gru.training)
        y = _Gru.apply(functional.linear(y, w_ih, b_ih), w_hh, b_hh, state[layer])
        ends.append(y[-1])
    return y.transpose(0, 1), torch.stack(ends)


class _Gru(torch.autograd.Function):
    """The recurrence of a GRU layer, with the equations and the gate order of torch.nn.GRU."""

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, w: torch.Tensor, b: torch.Tensor, h: torch.Tensor
    ) -> torch.Tensor:
        """Outputs (T, B, H), of the input's part of the gates x (T, B, 3 H) and a state (B, H)."""
        steps, batch, hidden = x.shape[0], x.shape[1], h.shape[1]
        x_rz, x_n = x[..., : 2 * hidden], x[..., 2 * hidden :]
        past = torch.empty_like(x)  # what the state brings to each gate
        rz, n = torch.empty_like(x_rz), torch.empty_like(x_n)
        hs = x.new_empty(steps + 1, batch, hidden)
        hs[0] = h
        transposed = w.t().contiguous()  # some 7 % quicker to multiply with
        past_rz, past_n = past[..., : 2 * hidden], past[..., 2 * hidden :]
        r, z = rz[..., :hidden], rz[..., hidden:]
        columns = (x_rz, x_n, past, past_rz, past_n, rz, r, z, n, hs[:-1], hs[1:])
        for x_rz_, x_n_, past_, past_rz_, past_n_, rz_, r_, z_, n_, before, after in zip(
            *(column.unbind() for column in columns), strict=True
        ):
            torch.addmm(b, before, transposed, out=past_)
            torch.add(x_rz_, past_rz_, out=rz_).sigmoid_()
            torch.addcmul(x_n_, r_, past_n_, out=n_).tanh_()
            torch.lerp(n_, before, z_, out=after)
        ctx.save_for_backward(w, past_n, rz, n, hs)
        return hs[1:]

    @staticmethod
    def backward(ctx: Any, dy: torch.Tensor) -> tuple[torch.Tensor, ...]:
        w, past_n, rz, n, hs = ctx.saved_tensors
        steps, batch, hidden = n.shape
        r, z = rz[..., :hidden], rz[..., hidden:]
        # What a change of the state at t does to the gates, for all t at once.
        k_n = (1 - z) * (1 - n * n)
        k = torch.stack((k_n * past_n * r * (1 - r), (hs[:-1] - n) * z * (1 - z), k_n * r), dim=2)
        dh, dgates = n.new_empty(steps + 1, batch, hidden), torch.empty_like(k)
        flat = dgates.view(steps, batch, 3 * hidden)
        # Row t + 1 is for the output of frame t, row 0 for the state at the beginning.
        dy = torch.cat((torch.zeros_like(dy[:1]), dy))
        dh[-1] = dy[-1]
        columns = (dy[:-1], dh[:-1], dh[1:], dh[1:, :, None], z, k, dgates, flat)
        for dy_, before, after, after_, z_, k_, dgates_, flat_ in reversed(
            list(zip(*(column.unbind() for column in columns), strict=True))
        ):
            torch.mul(after_, k_, out=dgates_)
            torch.addcmul(dy_, after, z_, out=before).addmm_(flat_, w)
        dx = torch.cat((flat[..., : 2 * hidden], dh[1:] * k_n), dim=2)
        rows = flat.view(steps * batch, 3 * hidden)
        return dx, rows.t() @ hs[:-1].reshape(-1, hidden), rows.sum(dim=0), dh[0]
