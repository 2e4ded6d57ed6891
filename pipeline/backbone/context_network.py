"""The backbone with an RNN behind it: windows of frames to logits of each frame."""

from typing import Literal

import torch
from torch import nn

from pipeline.backbone.classifier import FrameClassifier
from pipeline.networks.backbones.contract import Backbone
from pipeline.networks.backbones.transform import Transform
from pipeline.networks.temporal.contract import State
from pipeline.networks.temporal.rnn import RecurrentNetwork

# One layer, as SV-RCNet has.
LAYERS = 1
_DROPOUT = 0.3


class ContextClassifier(FrameClassifier):
    """A backbone whose features go through a recurrent network, as in a temporal model.

    Jin et al., "SV-RCNet", IEEE TMI 2018. Departures: the state can be carried from one window to
    the next, so that the context is the whole past of a video, while gradients end at the window
    (truncated backpropagation); every frame of a window is learnt, not the last one alone.

    Args:
        backbone: Network, blocks and pool.
        transform: Mean and scale of the pixels.
        num_classes: C.
        cell: "lstm" or "gru".
        hidden: Units of the recurrent layer.
        checkpointing: Recompute each block's activations in the backward pass.
    """

    def __init__(
        self,
        backbone: Backbone,
        transform: Transform,
        num_classes: int,
        cell: Literal["lstm", "gru"],
        hidden: int,
        checkpointing: bool,
    ) -> None:
        super().__init__(backbone, transform, num_classes, 0, "linear", checkpointing)
        self.head = nn.Identity()
        # Its features are not standardised: they change while it learns.
        self.recurrent = RecurrentNetwork(
            backbone.dim, num_classes, cell, hidden, LAYERS, _DROPOUT, bidirectional=False
        )

    def in_context(
        self, images: torch.Tensor, mask: torch.Tensor, state: State | None
    ) -> tuple[torch.Tensor, State]:
        """Logits of every frame of a window, and the state for the next one.

        Args:
            images: (N, 3, H, W) uint8, those of the first video first.
            mask: (B, L) bool with N true values: where they belong.
            state: After the window before; None where nothing is known of it.

        Returns:
            (B, L, C) logits, and the state.
        """
        features, _ = self(images)
        rows = features.new_zeros(*mask.shape, features.shape[1])
        rows[mask] = features
        logits, after = self.recurrent(rows, mask, state)
        return logits[-1], after
