"""Convolution and a bidirectional LSTM over the features.

Conv1d of 64 maps and kernel 5, ReLU, batch norm, max-pooling by 2, BiLSTM of 128 units, dropout,
dense layer of 64 units, dropout, classes: a common recipe for whole sequences, trained with Adam at
1e-3. Departures: it answers per frame, for which the pooled frames are repeated after the LSTM;
each video is normalised by its own frames, in training as in evaluation, where the recipe has batch
norm over 32 short sequences; and padding counts neither there nor in the pooling. It sees all of
the video and runs offline only.
"""

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional

from pipeline.networks.temporal.contract import Outputs, State, TemporalModule
from pipeline.settings import Number, Section

_EPS = 1e-5


class Params(Section):
    """The numbers of the network; the defaults are the recipe's.

    Attributes:
        maps: Of the convolution.
        hidden: Units of the LSTM per direction.
        lstm_dropout: Behind the LSTM.
        dense: Units of the dense layer.
        dropout: Before the classes.
    """

    maps: int = Field(64, ge=1)
    hidden: int = Field(128, ge=1)
    lstm_dropout: Number = Field(0.5, ge=0, lt=1)
    dense: int = Field(64, ge=1)
    dropout: Number = Field(0.3, ge=0, lt=1)


def build(dim: int, num_classes: int, params: Params) -> "ConvBiLstm":
    """An untrained network for D features and C classes."""
    return ConvBiLstm(
        dim,
        num_classes,
        maps=params.maps,
        hidden=params.hidden,
        lstm_dropout=params.lstm_dropout,
        dense=params.dense,
        dropout=params.dropout,
    )


class FrameNorm(nn.Module):
    """Each map with zero mean and unit variance over the frames of its video, scale and shift.

    Batch norm would do the same in training with one video per step, but takes running statistics
    of all videos in evaluation: it then fails on videos that are shifted against the others, even
    on those it was trained on.
    """

    def __init__(self, maps: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(maps))
        self.bias = nn.Parameter(torch.zeros(maps))

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Rows (B, T, M) to float32 rows, normalised where mask (B, T) is true, zero elsewhere."""
        frames = mask[:, :, None]
        x = x.to(self.weight.dtype)
        total = frames.sum(dim=1, keepdim=True).clamp(min=1)
        centred = (x - (x * frames).sum(dim=1, keepdim=True) / total) * frames
        variance = centred.square().sum(dim=1, keepdim=True) / total
        return (centred * (variance + _EPS).rsqrt() * self.weight + self.bias) * frames


class ConvBiLstm(TemporalModule):
    """Convolution, batch norm, pooling, BiLSTM and dense layers.

    Args:
        dim: D, length of the feature vector.
        num_classes: C.
        maps: Of the convolution.
        hidden: Units of the LSTM per direction.
        lstm_dropout: Behind the LSTM.
        dense: Units of the dense layer.
        dropout: Before the classes.
    """

    causal = False
    receptive_field = None

    def __init__(
        self,
        dim: int,
        num_classes: int,
        maps: int,
        hidden: int,
        lstm_dropout: float,
        dense: int,
        dropout: float,
    ) -> None:
        super().__init__(dim, num_classes)
        self.conv = nn.Conv1d(dim, maps, kernel_size=5, padding=2)
        self.norm = FrameNorm(maps)
        self.lstm = nn.LSTM(maps, hidden, batch_first=True, bidirectional=True)
        self.head = nn.Sequential(
            nn.Dropout(lstm_dropout),
            nn.Linear(2 * hidden, dense),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(dense, num_classes),
        )

    def forward(
        self, features: torch.Tensor, mask: torch.Tensor, state: State | None = None
    ) -> Outputs:
        """See TemporalNetwork; there is no state."""
        x = self.standardise(features) * mask[:, :, None]  # (B, T, D)
        y = functional.relu(self.conv(x.transpose(1, 2))).transpose(1, 2)
        y = self.norm(y, mask).masked_fill(~mask[:, :, None], -torch.inf)
        y = functional.max_pool1d(y.transpose(1, 2), kernel_size=2, ceil_mode=True)
        pooled = mask[:, ::2]
        y = y.transpose(1, 2).masked_fill(~pooled[:, :, None], 0)  # (B, T / 2, M)
        # torch has no bfloat16 recurrence for processors.
        with torch.autocast("cpu", enabled=False):
            y = self._recur(y, pooled)
        y = y.repeat_interleave(2, dim=1)[:, : x.shape[1]]
        return Outputs([self.head(y)], None)

    def _recur(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Rows (B, T, M) to (B, T, 2 H), each video read from its own end."""
        lengths = mask.sum(dim=1).clamp(min=1).cpu()
        packed = nn.utils.rnn.pack_padded_sequence(
            x, lengths, batch_first=True, enforce_sorted=False
        )
        y, _ = self.lstm(packed)
        y, _ = nn.utils.rnn.pad_packed_sequence(y, batch_first=True, total_length=x.shape[1])
        return y
