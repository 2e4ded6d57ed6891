"""MS-TCN++: its predictor sees near and far at once in every layer.

Li et al., "MS-TCN++: Multi-Stage Temporal Convolutional Network for Action Segmentation", IEEE
TPAMI 2020. Each layer of the predictor has two dilated convolutions, of dilation 2^i and
2^(L-1-i), whose maps a 1x1 convolution joins; the refinements are stages of MS-TCN. Receptive
field with the defaults: 14,139 frames, half of them in the future, or all in the past with
`causal: true`, which pads on the left only. Departures: as for MS-TCN (mstcn.py). The refinements
do not share their weights, as in the larger of the paper's two networks. The paper trains with Adam
at 5e-4 for 100 epochs.
"""

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional

from pipeline.networks.temporal.blocks.smoothing import smoothing_loss
from pipeline.networks.temporal.blocks.tcn import (
    DilatedConv,
    Past,
    Stage,
    refined,
    residual_stage,
)
from pipeline.networks.temporal.contract import Outputs, State, TemporalModule
from pipeline.settings import Number, Section


class Params(Section):
    """The numbers of MS-TCN++; the defaults are the paper's.

    Attributes:
        causal: Logits depend on frames up to their own only.
        predictor_layers: Dual dilated layers of the predictor.
        refinements: Stages behind it.
        refinement_layers: Dilated layers of each.
        maps: Feature maps.
        dropout: In each layer.
        smoothing: Weight of the smoothing loss.
    """

    causal: bool = False
    predictor_layers: int = Field(11, ge=1, le=14)
    refinements: int = Field(3, ge=0)
    refinement_layers: int = Field(10, ge=1, le=14)
    maps: int = Field(64, ge=1)
    dropout: Number = Field(0.5, ge=0, lt=1)
    smoothing: Number = Field(0.15, ge=0)


def build(dim: int, num_classes: int, params: Params) -> "MsTcnPlusPlus":
    """An untrained network for D features and C classes."""
    return MsTcnPlusPlus(
        dim,
        num_classes,
        causal=params.causal,
        predictor_layers=params.predictor_layers,
        refinements=params.refinements,
        refinement_layers=params.refinement_layers,
        maps=params.maps,
        dropout=params.dropout,
        smoothing=params.smoothing,
    )


class DualDilatedLayer(nn.Module):
    """Two dilated convolutions side by side, 1x1, ReLU, dropout, residual."""

    def __init__(self, maps: int, near: int, far: int, dropout: float, causal: bool) -> None:
        super().__init__()
        self.near = DilatedConv(maps, maps, near, causal)
        self.far = DilatedConv(maps, maps, far, causal)
        self.join = nn.Conv1d(2 * maps, maps, kernel_size=1)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: torch.Tensor, frames: torch.Tensor, past: Past | None
    ) -> tuple[torch.Tensor, Past]:
        """Maps (B, M, T) to (B, M, T), zero in padding, and the past of both convolutions."""
        near, near_past = self.near(x, past[0] if past else None)
        far, far_past = self.far(x, past[1] if past else None)
        y = self.dropout(functional.relu(self.join(torch.cat((near, far), dim=1))))
        return (x + y) * frames, (near_past, far_past)


class MsTcnPlusPlus(TemporalModule):
    """Multi-stage TCN with a dual dilated predictor, offline or causal.

    Args:
        dim: D, length of the feature vector.
        num_classes: C.
        causal: Whether logits depend on frames up to their own only.
        predictor_layers: Dual dilated layers of the predictor.
        refinements: Stages behind it.
        refinement_layers: Dilated layers of each.
        maps: Feature maps.
        dropout: In each layer.
        smoothing: Weight of the smoothing loss.
    """

    def __init__(
        self,
        dim: int,
        num_classes: int,
        causal: bool,
        predictor_layers: int,
        refinements: int,
        refinement_layers: int,
        maps: int,
        dropout: float,
        smoothing: float,
    ) -> None:
        super().__init__(dim, num_classes)
        self.causal = causal
        self.smoothing = smoothing
        near = [int(2**i) for i in range(predictor_layers)]
        pairs = list(zip(near, reversed(near), strict=True))
        dual = (DualDilatedLayer(maps, *pair, dropout, causal) for pair in pairs)
        self.stages = nn.ModuleList([Stage(dim, num_classes, dual, maps)])
        for _ in range(refinements):
            self.stages.append(
                residual_stage(num_classes, num_classes, refinement_layers, maps, dropout, causal)
            )
        # Each layer spans 2 * dilation columns beside its own, the larger one of two.
        predictor = sum(2 * max(pair) for pair in pairs)
        self.receptive_field = 1 + predictor + refinements * 2 * (int(2**refinement_layers) - 1)

    def forward(
        self, features: torch.Tensor, mask: torch.Tensor, state: State | None = None
    ) -> Outputs:
        """See TemporalNetwork; the state holds the past of each layer of each stage."""
        logits, kept = refined(self.stages, self.standardise(features), mask, state)
        return Outputs(logits, kept if self.causal else None)

    def extra_loss(
        self, outputs: Outputs, labels: torch.Tensor, mask: torch.Tensor
    ) -> torch.Tensor:
        """The smoothing loss with its weight."""
        return self.smoothing * smoothing_loss(outputs.logits, mask)
