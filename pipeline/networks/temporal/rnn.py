"""LSTM and GRU over the features of a video."""

from typing import Literal

import torch
from torch import nn

from pipeline.networks.temporal.standardise import Standardise

State = torch.Tensor | tuple[torch.Tensor, torch.Tensor]


class RecurrentNetwork(nn.Module):
    """Recurrent layers and a linear head. Causal unless bidirectional.

    Args:
        features: D, length of the feature vector.
        phases: C, number of classes.
        cell: "lstm" or "gru".
        hidden: Units per layer and direction.
        layers: Recurrent layers.
        dropout: Between the layers and before the head.
        bidirectional: Also read the video from its end; then logits depend on the future.
    """

    def __init__(
        self,
        features: int,
        phases: int,
        cell: Literal["lstm", "gru"],
        hidden: int,
        layers: int,
        dropout: float,
        bidirectional: bool,
    ) -> None:
        super().__init__()
        self.causal = not bidirectional
        self.standardise = Standardise(features)
        recurrent = nn.LSTM if cell == "lstm" else nn.GRU
        self.recurrent = recurrent(
            features,
            hidden,
            layers,
            batch_first=True,
            # torch warns about dropout between layers where there is only one.
            dropout=dropout if layers > 1 else 0.0,
            bidirectional=bidirectional,
        )
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden * (2 if bidirectional else 1), phases)

    def forward(
        self, features: torch.Tensor, mask: torch.Tensor, state: State | None = None
    ) -> tuple[list[torch.Tensor], State]:
        """Logits of every frame.

        Args:
            features: (B, T, D) float.
            mask: (B, T) bool, true for frames, false for the padding at the end.
            state: What the call on the frames before returned, or None at a video's start.

        Returns:
            A list of one (B, T, C) logits, and the state after the last column.
        """
        x = self.standardise(features)  # (B, T, D)
        if self.causal:
            # Padding is at the end, where it changes no earlier output.
            y, state = self.recurrent(x, state)
        else:
            lengths = mask.sum(dim=1).clamp(min=1).cpu()
            packed = nn.utils.rnn.pack_padded_sequence(
                x, lengths, batch_first=True, enforce_sorted=False
            )
            y, state = self.recurrent(packed)
            y, _ = nn.utils.rnn.pad_packed_sequence(y, batch_first=True, total_length=x.shape[1])
        assert state is not None
        return [self.head(self.dropout(y))], state
