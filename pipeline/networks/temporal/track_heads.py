"""Several labels of each frame at once, such as phase and step: one network, a head for each track.

A network of any kind has as many outputs as all tracks have classes together. Its last layer is
linear, so the outputs of one track are a linear head of its own on what the network shares.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.networks.temporal.contract import Kind, Outputs, State, TemporalModule
from pipeline.settings import Section


def joint_labels(
    tracks: Sequence[NDArray[np.int64]], num_classes: Sequence[int]
) -> NDArray[np.int64]:
    """One number per frame for the classes of all tracks, so that a frame has one label.

    The digits of a number in mixed radix, from the lowest: class + 1 of each track; minus 1. So -1
    is unlabelled in every track, and a frame that only the first track labels has its class.

    Args:
        tracks: (T,) classes of each track, -1 where unlabelled.
        num_classes: Of each track.
    """
    joint = np.zeros(len(tracks[0]), dtype=np.int64)
    for labels, number in zip(reversed(tracks), reversed(num_classes), strict=True):
        joint = joint * (number + 1) + labels + 1
    return joint - 1


def split_labels(joint: torch.Tensor, num_classes: Sequence[int]) -> list[torch.Tensor]:
    """The classes of each track, -1 where unlabelled, from the numbers of joint_labels."""
    rest, tracks = joint + 1, []
    for number in num_classes:
        tracks.append(rest % (number + 1) - 1)
        rest = rest // (number + 1)
    return tracks


@dataclass(frozen=True)
class KindOfTracks:
    """A kind of temporal network that labels each frame in several tracks.

    Attributes:
        kind: Of the network that all tracks share. It has no refinements, whose softmax would run
            over all tracks, and a single training phase.
        further: Number of classes of each track behind the first one.
    """

    kind: Kind
    further: tuple[int, ...]

    @property
    def Params(self) -> type[Section]:  # noqa: D102
        return self.kind.Params

    def build(self, dim: int, num_classes: int, params: Any) -> "TrackHeads":
        """An untrained network.

        Args:
            dim: D, length of the feature vector.
            num_classes: Of the first track.
            params: Of the kind.
        """
        each = (num_classes, *self.further)
        return TrackHeads(self.kind.build(dim, sum(each), params), each)


class TrackHeads(TemporalModule):
    """A temporal network whose outputs are cut into tracks.

    Forward returns one (B, T, C) tensor per track where the contract has one per refinement, the
    first track last, because the last one predicts: whoever knows of no tracks sees the first one.

    Args:
        network: With the classes of all tracks as its outputs.
        each: Number of classes of each track.
        answers: Which track predicts.
    """

    def __init__(self, network: TemporalModule, each: Sequence[int], answers: int = 0) -> None:
        super().__init__(network.dim, each[answers])
        self.causal = network.causal
        self.receptive_field = network.receptive_field
        self.trains_in_windows = network.trains_in_windows
        # Features are standardised here; the statistics of `network` stay 0 and 1.
        self.network = network
        self.each = tuple(each)
        self.answers = answers

    def answering(self, track: int) -> "TrackHeads":
        """The same network with the same weights, of which another track predicts."""
        other = TrackHeads(self.network, self.each, track)
        other.standardise = self.standardise
        return other.train(self.training)

    def forward(
        self, features: torch.Tensor, mask: torch.Tensor, state: State | None = None
    ) -> Outputs:
        """Logits of every frame in each track, from the last track to the first."""
        outputs: Outputs = self.network(self.standardise(features), mask, state)
        tracks = self._cut(outputs.logits[-1])
        tracks.append(tracks.pop(len(tracks) - 1 - self.answers))
        return Outputs(tracks, outputs.state)

    def step(self, feature: torch.Tensor, state: State | None = None) -> tuple[torch.Tensor, State]:
        """The logits of one more frame in the track that predicts, (B, C)."""
        logits, state = self.network.step(self.standardise(feature), state)
        return logits.split_with_sizes(self.each, dim=-1)[self.answers], state

    def extra_loss(
        self, outputs: Outputs, labels: torch.Tensor, mask: torch.Tensor
    ) -> torch.Tensor | None:
        """What the network's paper adds, mean over the tracks.

        Args:
            outputs: Of forward, the first track last.
            labels: (B, T) numbers of joint_labels.
            mask: (B, T) bool, true for frames.
        """
        pairs = zip(reversed(outputs.logits), split_labels(labels, self.each), strict=True)
        found = [self.network.extra_loss(Outputs([own], None), of, mask) for own, of in pairs]
        known = [extra for extra in found if extra is not None]
        return torch.stack(known).mean() if known else None

    def _cut(self, logits: torch.Tensor) -> list[torch.Tensor]:
        """Logits (B, T, C) of each track, from the last track to the first."""
        return list(reversed(logits.split_with_sizes(self.each, dim=-1)))
