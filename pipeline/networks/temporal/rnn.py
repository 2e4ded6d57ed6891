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

Training a GRU on a processor does not use torch's layer but blocks/gru.py: the same result, within
rounding, in less than half of the time.
"""

from typing import Any, Literal

import torch
from pydantic import Field, SerializerFunctionWrapHandler, model_serializer
from torch import nn

from pipeline.networks.temporal.blocks.attention import last, windowed_attention, with_past
from pipeline.networks.temporal.blocks.gru import gru
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
                return gru(self.recurrent, x, state)
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
