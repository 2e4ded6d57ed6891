"""LSTM and GRU over the features of a video.

Hochreiter and Schmidhuber, "Long Short-Term Memory", 1997; Cho et al., "Learning Phrase
Representations using RNN Encoder-Decoder", 2014; over the features of a CNN as in Jin et al.,
"SV-RCNet", IEEE TMI 2018. Departures from SV-RCNet: the CNN is trained beforehand or not at all,
there are two layers, and whole videos or windows with carried state take the place of clips.
"""

from typing import Literal

import torch
from pydantic import Field
from torch import nn

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
    """

    rnn: Literal["lstm", "gru"] = "lstm"
    hidden: int = Field(512, ge=1)
    layers: int = Field(2, ge=1)
    dropout: Number = Field(0.3, ge=0, lt=1)
    bidirectional: bool = False


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
        self.head = nn.Linear(hidden * (2 if bidirectional else 1), num_classes)

    def forward(
        self, features: torch.Tensor, mask: torch.Tensor, state: State | None = None
    ) -> Outputs:
        """See TemporalNetwork; the state is that of torch's layer."""
        x = self.standardise(features)  # (B, T, D)
        if self.causal:
            # Padding is at the end, where it changes no earlier output.
            y, state = self.recurrent(x, state)
        else:
            lengths = mask.sum(dim=1).clamp(min=1).cpu()
            packed = nn.utils.rnn.pack_padded_sequence(
                x, lengths, batch_first=True, enforce_sorted=False
            )
            y, _ = self.recurrent(packed)
            y, _ = nn.utils.rnn.pad_packed_sequence(y, batch_first=True, total_length=x.shape[1])
            state = None
        return Outputs([self.head(self.dropout(y))], state)
