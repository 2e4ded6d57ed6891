"""TeCNO: a causal multi-stage temporal convolutional network.

Czempiel et al., "TeCNO: Surgical Phase Recognition with Multi-Stage Temporal Convolutional
Networks", MICCAI 2020. A first stage predicts, later ones refine the softmax of the one before.
"""

import torch
from torch import nn
from torch.nn import functional

from pipeline.networks.temporal.standardise import Standardise


class DilatedResidualLayer(nn.Module):
    """Dilated causal convolution of kernel 3, ReLU, 1x1, dropout, residual."""

    def __init__(self, maps: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.past = 2 * dilation
        self.dilated = nn.Conv1d(maps, maps, kernel_size=3, dilation=dilation)
        self.pointwise = nn.Conv1d(maps, maps, kernel_size=1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Maps (B, M, T) to (B, M, T); column t depends on columns <= t only."""
        # All padding is on the left: symmetric padding would look 2^i frames into the future.
        y = functional.relu(self.dilated(functional.pad(x, (self.past, 0))))
        y = self.dropout(self.pointwise(y))
        out: torch.Tensor = x + y
        return out


class Stage(nn.Module):
    """1x1 convolution in, layers of dilation 1, 2, 4, ..., 1x1 convolution out."""

    def __init__(self, inputs: int, phases: int, layers: int, maps: int, dropout: float) -> None:
        super().__init__()
        self.enter = nn.Conv1d(inputs, maps, kernel_size=1)
        self.layers = nn.Sequential(
            *(DilatedResidualLayer(maps, 2**i, dropout) for i in range(layers))
        )
        self.leave = nn.Conv1d(maps, phases, kernel_size=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Inputs (B, D, T) to logits (B, C, T)."""
        logits: torch.Tensor = self.leave(self.layers(self.enter(x)))
        return logits


class Tecno(nn.Module):
    """Causal multi-stage TCN.

    Args:
        features: D, length of the feature vector.
        phases: C, number of classes.
        stages: Predictor and refinements together, 2 in the paper.
        layers: Dilated layers per stage, 8 in the paper.
        maps: Feature maps, 32 in the paper.
        dropout: 0.5 in the paper.
    """

    causal = True

    def __init__(
        self, features: int, phases: int, stages: int, layers: int, maps: int, dropout: float
    ) -> None:
        super().__init__()
        self.receptive_field = receptive_field(stages, layers)
        self.standardise = Standardise(features)
        self.stages = nn.ModuleList(
            Stage(features if stage == 0 else phases, phases, layers, maps, dropout)
            for stage in range(stages)
        )

    def forward(
        self, features: torch.Tensor, mask: torch.Tensor, state: None = None
    ) -> tuple[list[torch.Tensor], None]:
        """Logits of every frame from every stage.

        Args:
            features: (B, T, D) float.
            mask: (B, T) bool; padding at the end changes no earlier output of a causal network.
            state: None; there is none to carry.

        Returns:
            One (B, T, C) logits per stage, of which the last one predicts; and None.
        """
        x = self.standardise(features).transpose(1, 2)  # (B, D, T)
        logits: list[torch.Tensor] = []
        for stage in self.stages:
            x = stage(x)  # (B, C, T)
            logits.append(x.transpose(1, 2))
            x = functional.softmax(x, dim=1)
        return logits, None


def receptive_field(stages: int, layers: int) -> int:
    """Frames, the present one included, that decide a logit: 1 + stages * 2 * (2^layers - 1)."""
    return 1 + stages * 2 * (int(2**layers) - 1)
