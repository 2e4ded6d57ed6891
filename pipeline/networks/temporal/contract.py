"""What every temporal network offers, whatever its kind.

A kind is one file of this folder. It defines `Params`, the numbers that shape it in params.yaml,
and `build(dim, num_classes, params)`, which returns an untrained network.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import nn

from pipeline.networks.temporal.standardise import Standardise
from pipeline.settings import Section

# What a network carries from frame to frame: a tensor, or tuples of tensors.
State = Any


class Outputs(NamedTuple):
    """What a forward pass returns.

    Attributes:
        logits: One (B, T, C) tensor per refinement; the last one predicts.
        state: After the last column, for the call on the frames that follow; None where the
            network carries none.
    """

    logits: Sequence[torch.Tensor]
    state: State | None


@runtime_checkable
class TemporalNetwork(Protocol):
    """A torch module from features to logits.

    Attributes:
        dim: D, length of the feature vector.
        num_classes: C.
        causal: Whether the logits at t depend on frames up to t only.
        receptive_field: Frames, the present one included, that can decide a logit; None where
            there is no limit.
        training_phases: Names of the trainings it goes through, one after the other; most have
            one. The training loop calls `begin_phase` before each.
        trains_in_windows: Whether its training may cut a video into windows with a carried state
            (train.window).
        standardise: Brings the features to zero mean and unit variance before anything else; the
            train stage sets its statistics.
    """

    dim: int
    num_classes: int
    causal: bool
    receptive_field: int | None
    training_phases: Sequence[str]
    trains_in_windows: bool
    standardise: Standardise

    def forward(
        self, features: torch.Tensor, mask: torch.Tensor, state: State | None = None
    ) -> Outputs:
        """Logits of every frame.

        Args:
            features: (B, T, D) float.
            mask: (B, T) bool, true for frames, false for the padding at the end. Padding changes
                nothing.
            state: What the call on the frames before returned; None at a video's start.
        """
        ...

    def step(self, feature: torch.Tensor, state: State | None = None) -> tuple[torch.Tensor, State]:
        """The logits of one more frame, at a cost that does not grow with the video.

        Equal to forward on all frames so far, within 1e-5.

        Args:
            feature: (B, D) float.
            state: What the step before returned; None at a video's start.

        Returns:
            (B, C) logits, and the state for the next frame.

        Raises:
            NotImplementedError: The network is not causal.
        """
        ...

    def extra_loss(
        self, outputs: Outputs, labels: torch.Tensor, mask: torch.Tensor
    ) -> torch.Tensor | None:
        """What the network's paper adds to the loss over frames; None where it adds nothing.

        Args:
            outputs: Of forward.
            labels: (B, T) classes, -1 where unlabelled or padding.
            mask: (B, T) bool, true for frames.
        """
        ...

    def begin_phase(self, name: str) -> None:
        """Prepare for one of `training_phases`: freeze what it does not train."""
        ...


class TemporalModule(nn.Module, TemporalNetwork):
    """A torch module that keeps the contract.

    A kind derives its network from it, sets `causal` and `receptive_field`, writes `forward`, and
    the rest only where its paper asks for more than is here.

    Args:
        dim: D, length of the feature vector.
        num_classes: C.
    """

    training_phases: Sequence[str] = ("all",)
    trains_in_windows: bool = False

    def __init__(self, dim: int, num_classes: int) -> None:
        super().__init__()
        self.dim = dim
        self.num_classes = num_classes
        self.standardise = Standardise(dim)

    def step(self, feature: torch.Tensor, state: State | None = None) -> tuple[torch.Tensor, State]:
        """One frame through forward, for networks whose state holds all that the past decides."""
        if not self.causal:
            raise NotImplementedError("a network that looks into the future cannot run live")
        mask = torch.ones(len(feature), 1, dtype=torch.bool, device=feature.device)
        outputs: Outputs = self(feature[:, None], mask, state)
        return outputs.logits[-1][:, 0], outputs.state

    def extra_loss(
        self, outputs: Outputs, labels: torch.Tensor, mask: torch.Tensor
    ) -> torch.Tensor | None:
        """None: the loss over frames is all."""
        return None

    def begin_phase(self, name: str) -> None:
        """Nothing: the only phase trains everything."""


class Kind(Protocol):
    """The file of a kind.

    Attributes:
        Params: The numbers that shape it in params.yaml, with their defaults.
    """

    @property
    def Params(self) -> type[Section]:  # noqa: D102
        ...

    def build(self, dim: int, num_classes: int, params: Any) -> TemporalModule:
        """An untrained network.

        Args:
            dim: D, length of the feature vector.
            num_classes: C.
            params: Of this kind.
        """
        ...
