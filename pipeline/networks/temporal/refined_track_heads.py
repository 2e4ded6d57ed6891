"""Track heads for networks whose refinements read the predictions of the one before them.

TeCNO, MS-TCN, MS-TCN++ and ASFormer take the softmax over all that a stage predicts and give it to
the next one. With several tracks each stage predicts all of them, and the next one reads the
softmax over the classes of each track by itself. track_heads.py knows nothing of this, because its
code is part of what identifies trained models.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from pipeline.networks.temporal.contract import Kind, Outputs, State, TemporalModule
from pipeline.networks.temporal.track_heads import KindOfTracks, TrackHeads, split_labels

# Where a network keeps its predictor and refinements; ASFormer's are an encoder and decoders. Each
# maps (x, ...) to (logits, ...), x being (B, D, T) and the logits (B, C, T).
_CHAINS = ("stages", "coders")


def chain_of(network: TemporalModule) -> nn.ModuleList:
    """The predictor and the refinements of a network, in their order; empty if it has none."""
    found = (getattr(network, name, None) for name in _CHAINS)
    return next((chain for chain in found if isinstance(chain, nn.ModuleList)), nn.ModuleList())


class SoftmaxPerTrack(nn.Module):
    """A predictor or refinement that hands over a softmax of each track.

    The network takes the softmax over the classes of all K tracks together. Of log-probabilities
    that add up to 1 in each track it is the softmax of each track divided by K; the refinement
    that reads it multiplies by K again. As logits, log-probabilities say what they did before.

    Args:
        inner: Maps (x, ...) to (logits, ...).
        each: Number of classes of each track.
        refines: Whether x is what another one handed over, and not features.
    """

    def __init__(self, inner: nn.Module, each: tuple[int, ...], refines: bool) -> None:
        super().__init__()
        self.inner = inner
        self.each = each
        self.refines = refines

    def forward(self, x: torch.Tensor, *others: Any) -> tuple[torch.Tensor, ...]:
        """As `inner`, with log-probabilities (B, C, T) of each track for its logits."""
        logits, *more = self.inner(x * len(self.each) if self.refines else x, *others)
        tracks = logits.split_with_sizes(self.each, dim=1)
        return (torch.cat([track.log_softmax(dim=1) for track in tracks], dim=1), *more)


class RefinedTrackHeads(TrackHeads):
    """A network with refinements whose outputs are cut into tracks.

    Forward returns the tracks of the predictor, then those of each refinement, (B, T, C) each, the
    first track of the last refinement last, because the last one predicts.
    """

    def forward(
        self, features: torch.Tensor, mask: torch.Tensor, state: State | None = None
    ) -> Outputs:
        """Logits of every frame: of each refinement, from the last track to the first."""
        outputs: Outputs = self.network(self.standardise(features), mask, state)
        tracks = [track for logits in outputs.logits for track in self._cut(logits)]
        return Outputs(tracks, outputs.state)

    def extra_loss(
        self, outputs: Outputs, labels: torch.Tensor, mask: torch.Tensor
    ) -> torch.Tensor | None:
        """What the network's paper adds for all refinements, mean over the tracks.

        Args:
            outputs: Of forward.
            labels: (B, T) numbers of joint_labels.
            mask: (B, T) bool, true for frames.
        """
        number = len(self.each)
        tracks = [outputs.logits[first::number] for first in reversed(range(number))]
        pairs = zip(tracks, split_labels(labels, self.each), strict=True)
        found = [self.network.extra_loss(Outputs(own, None), of, mask) for own, of in pairs]
        known = [extra for extra in found if extra is not None]
        return torch.stack(known).mean() if known else None


@dataclass(frozen=True)
class KindOfRefinedTracks(KindOfTracks):
    """A kind of temporal network with refinements that labels each frame in several tracks."""

    def build(self, dim: int, num_classes: int, params: Any) -> RefinedTrackHeads:
        """An untrained network.

        Args:
            dim: D, length of the feature vector.
            num_classes: Of the first track.
            params: Of the kind.
        """
        each = (num_classes, *self.further)
        network = self.kind.build(dim, sum(each), params)
        chain = chain_of(network)
        for number, inner in enumerate(chain):
            chain[number] = SoftmaxPerTrack(inner, each, refines=number > 0)
        return RefinedTrackHeads(network, each)


def kind_of_tracks(kind: Kind, further: tuple[int, ...], refined: bool) -> KindOfTracks:
    """A kind of temporal network with a head for each track.

    Args:
        kind: Of the network that all tracks share.
        further: Number of classes of each track behind the first one.
        refined: Whether it has refinements.
    """
    return KindOfRefinedTracks(kind, further) if refined else KindOfTracks(kind, further)
