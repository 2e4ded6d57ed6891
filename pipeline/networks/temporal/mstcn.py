"""MS-TCN: a multi-stage temporal convolutional network that looks both ways.

Farha and Gall, "MS-TCN: Multi-Stage Temporal Convolutional Network for Action Segmentation",
CVPR 2019. A predictor of dilated residual layers, and refinements that each read the softmax of
the one before; a smoothing loss keeps neighbouring frames in one phase. Receptive field: 8,185
frames, half of them in the future, or all in the past with `causal: true`, which pads on the left
only, as TeCNO does. Departures: features are standardised by the training videos, and losses are
averaged over the stages where the paper adds them up (blocks/smoothing.py). The paper trains with
Adam at 5e-4 for 50 epochs.
"""

import torch
from pydantic import Field
from torch import nn

from pipeline.networks.temporal.blocks.smoothing import smoothing_loss
from pipeline.networks.temporal.blocks.tcn import refined, residual_stage
from pipeline.networks.temporal.contract import Outputs, State, TemporalModule
from pipeline.settings import Number, Section


class Params(Section):
    """The numbers of MS-TCN; the defaults are the paper's.

    Attributes:
        causal: Logits depend on frames up to their own only.
        stages: Predictor and refinements together.
        layers: Dilated layers of each.
        maps: Feature maps.
        dropout: In each layer.
        smoothing: Weight of the smoothing loss.
    """

    causal: bool = False
    stages: int = Field(4, ge=1)
    layers: int = Field(10, ge=1, le=14)
    maps: int = Field(64, ge=1)
    dropout: Number = Field(0.5, ge=0, lt=1)
    smoothing: Number = Field(0.15, ge=0)


def build(dim: int, num_classes: int, params: Params) -> "MsTcn":
    """An untrained network for D features and C classes."""
    return MsTcn(
        dim,
        num_classes,
        causal=params.causal,
        stages=params.stages,
        layers=params.layers,
        maps=params.maps,
        dropout=params.dropout,
        smoothing=params.smoothing,
    )


class MsTcn(TemporalModule):
    """Multi-stage TCN, offline or causal.

    Args:
        dim: D, length of the feature vector.
        num_classes: C.
        causal: Whether logits depend on frames up to their own only.
        stages: Predictor and refinements together.
        layers: Dilated layers of each.
        maps: Feature maps.
        dropout: In each layer.
        smoothing: Weight of the smoothing loss.
    """

    def __init__(
        self,
        dim: int,
        num_classes: int,
        causal: bool,
        stages: int,
        layers: int,
        maps: int,
        dropout: float,
        smoothing: float,
    ) -> None:
        super().__init__(dim, num_classes)
        self.causal = causal
        self.smoothing = smoothing
        # Each layer spans 2 * dilation columns beside its own: 2 * (1 + 2 + 4 + ...) in a stage.
        self.receptive_field = 1 + stages * 2 * (int(2**layers) - 1)
        self.stages = nn.ModuleList(
            residual_stage(inputs, num_classes, layers, maps, dropout, causal)
            for inputs in (dim, *[num_classes] * (stages - 1))
        )

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
