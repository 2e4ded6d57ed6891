"""A bidirectional LSTM over the rows of an image, for backbone.name: pixels.

The image is a sequence: 64 rows of 64 values for the default crop. Conv1d of 64 maps and kernel 5
over the rows, ReLU, max-pooling by 2, BiLSTM of 128 units, dropout, dense layer of 64 units,
dropout, classes: the recipe of conv_bilstm, turned from frames to rows. Departures: no batch norm,
and the mean over the rows in place of one answer each. Frames know nothing of each other, so it is
causal and serves single images as well as videos.
"""

import math

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional

from pipeline.networks.temporal.contract import Outputs, State, TemporalModule
from pipeline.settings import Number, Section

# Of a video that is read as a whole, so that memory does not grow with it.
_FRAMES_AT_ONCE = 512


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


def build(dim: int, num_classes: int, params: Params) -> "RowBiLstm":
    """An untrained network for D features and C classes."""
    return RowBiLstm(
        dim,
        num_classes,
        maps=params.maps,
        hidden=params.hidden,
        lstm_dropout=params.lstm_dropout,
        dense=params.dense,
        dropout=params.dropout,
    )


class RowBiLstm(TemporalModule):
    """Convolution, pooling and BiLSTM over the rows of each frame, then dense layers.

    Args:
        dim: D, pixels of a square image, row by row. Of any other number the rows are as long as
            the largest divisor up to its root.
        num_classes: C.
        maps: Of the convolution.
        hidden: Units of the LSTM per direction.
        lstm_dropout: Behind the LSTM.
        dense: Units of the dense layer.
        dropout: Before the classes.
    """

    causal = True
    receptive_field = 1
    trains_in_windows = True

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
        self.width = next(w for w in range(math.isqrt(dim), 0, -1) if dim % w == 0)
        self.conv = nn.Conv1d(self.width, maps, kernel_size=5, padding=2)
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
        frames = self.standardise(features).flatten(0, 1)  # (B * T, D)
        # torch has no bfloat16 recurrence for processors.
        with torch.autocast("cpu", enabled=False):
            read = [self._read(part) for part in frames.split(_FRAMES_AT_ONCE)]
        logits: torch.Tensor = self.head(torch.cat(read))
        return Outputs([logits.reshape(*features.shape[:2], self.num_classes)], None)

    def _read(self, frames: torch.Tensor) -> torch.Tensor:
        """Frames (N, D) to (N, 2 H)."""
        rows = frames.reshape(len(frames), -1, self.width)  # (N, rows, width)
        rows = rows.to(self.conv.weight.dtype)
        y = functional.relu(self.conv(rows.transpose(1, 2)))
        y = functional.max_pool1d(y, kernel_size=2, ceil_mode=True).transpose(1, 2)
        y, _ = self.lstm(y)
        mean: torch.Tensor = y.mean(dim=1)
        return mean
