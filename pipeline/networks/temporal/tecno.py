"""TeCNO: a causal multi-stage temporal convolutional network.

Czempiel et al., "TeCNO: Surgical Phase Recognition with Multi-Stage Temporal Convolutional
Networks", MICCAI 2020. A predictor, and refinements that each read the softmax of the one before.
Departures: features are standardised by the training videos, and the optimizer is that of
params.yaml (the paper's: Adam, 7e-5, no weight decay).
"""

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional

from pipeline.networks.temporal.contract import Outputs, State, TemporalModule
from pipeline.settings import Number, Section

# The last columns that entered each layer of a refinement, (B, M, past) each.
Past = tuple[torch.Tensor, ...]


class Params(Section):
    """The numbers of TeCNO; the defaults are the paper's.

    Attributes:
        stages: Predictor and refinements together.
        layers: Dilated layers of each.
        maps: Feature maps.
        dropout: In each layer.
    """

    stages: int = Field(2, ge=1)
    layers: int = Field(8, ge=1, le=14)
    maps: int = Field(32, ge=1)
    dropout: Number = Field(0.5, ge=0, lt=1)


def build(dim: int, num_classes: int, params: Params) -> "Tecno":
    """An untrained network for D features and C classes."""
    return Tecno(dim, num_classes, params.stages, params.layers, params.maps, params.dropout)


class DilatedResidualLayer(nn.Module):
    """Dilated causal convolution of kernel 3, ReLU, 1x1, dropout, residual."""

    def __init__(self, maps: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.past = 2 * dilation
        self.dilated = nn.Conv1d(maps, maps, kernel_size=3, dilation=dilation)
        self.pointwise = nn.Conv1d(maps, maps, kernel_size=1)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: torch.Tensor, past: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Maps (B, M, T) to (B, M, T); column t depends on columns <= t only.

        Args:
            x: (B, M, T).
            past: (B, M, 2 * dilation), the columns before x; None at a video's start.

        Returns:
            (B, M, T), and the past of the columns that follow.
        """
        # All padding is on the left: symmetric padding would look 2^i frames into the future.
        whole = functional.pad(x, (self.past, 0)) if past is None else torch.cat((past, x), dim=2)
        y = functional.relu(self.dilated(whole))
        y = self.dropout(self.pointwise(y))
        return x + y, whole[:, :, -self.past :]


class Refinement(nn.Module):
    """1x1 convolution in, layers of dilation 1, 2, 4, ..., 1x1 convolution out."""

    def __init__(
        self, inputs: int, num_classes: int, layers: int, maps: int, dropout: float
    ) -> None:
        super().__init__()
        self.enter = nn.Conv1d(inputs, maps, kernel_size=1)
        self.layers = nn.ModuleList(
            DilatedResidualLayer(maps, 2**i, dropout) for i in range(layers)
        )
        self.leave = nn.Conv1d(maps, num_classes, kernel_size=1)

    def forward(self, x: torch.Tensor, past: Past | None) -> tuple[torch.Tensor, Past]:
        """Inputs (B, D, T) to logits (B, C, T), and the past of each layer."""
        y = self.enter(x)
        kept: list[torch.Tensor] = []
        for number, layer in enumerate(self.layers):
            y, columns = layer(y, past[number] if past else None)
            kept.append(columns)
        return self.leave(y), tuple(kept)


class Tecno(TemporalModule):
    """Causal multi-stage TCN.

    Args:
        dim: D, length of the feature vector.
        num_classes: C.
        stages: Predictor and refinements together, 2 in the paper.
        layers: Dilated layers of each, 8 in the paper.
        maps: Feature maps, 32 in the paper.
        dropout: 0.5 in the paper.
    """

    causal = True

    def __init__(
        self, dim: int, num_classes: int, stages: int, layers: int, maps: int, dropout: float
    ) -> None:
        super().__init__(dim, num_classes)
        # Each layer looks back over 2 * dilation columns: 2 * (1 + 2 + 4 + ...) in a refinement.
        self.receptive_field = 1 + stages * 2 * (int(2**layers) - 1)
        self.stages = nn.ModuleList(
            Refinement(dim if number == 0 else num_classes, num_classes, layers, maps, dropout)
            for number in range(stages)
        )

    def forward(
        self, features: torch.Tensor, mask: torch.Tensor, state: State | None = None
    ) -> Outputs:
        """See TemporalNetwork; the state holds the past of each layer of each refinement."""
        x = self.standardise(features).transpose(1, 2)  # (B, D, T)
        logits: list[torch.Tensor] = []
        kept: list[Past] = []
        for number, refinement in enumerate(self.stages):
            x, past = refinement(x, state[number] if state else None)  # (B, C, T)
            logits.append(x.transpose(1, 2))
            kept.append(past)
            x = functional.softmax(x, dim=1)
        return Outputs(logits, tuple(kept))
