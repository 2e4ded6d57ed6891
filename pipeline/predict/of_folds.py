"""Temporal networks of a cross-validation in which the features of each fold are its own.

The features of all folds lie side by side, so that a video is decoded once and the networks answer
together as they do where they share their features.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch

from pipeline.networks.temporal.contract import Outputs, State, TemporalModule
from pipeline.networks.temporal.ensemble import Ensemble
from pipeline.networks.temporal.video_head import VideoHead
from pipeline.result_store import fingerprint


class OnColumns(TemporalModule):
    """A trained network that reads some columns of the features.

    Args:
        network: For features as long as there are columns.
        start: The first column.
    """

    def __init__(self, network: TemporalModule, start: int) -> None:
        super().__init__(network.dim, network.num_classes)
        del self.standardise  # the network has its own
        self.network = network
        self.causal, self.receptive_field = network.causal, network.receptive_field
        self._columns = slice(start, start + network.dim)

    def forward(
        self, features: torch.Tensor, mask: torch.Tensor, state: State | None = None
    ) -> Outputs:
        """What the network returns for its columns of (B, T, D of all)."""
        outputs: Outputs = self.network(self._own(features), mask, state)
        return outputs

    def step(self, feature: torch.Tensor, state: State | None = None) -> tuple[torch.Tensor, State]:
        """A step of the network with its columns of (B, D of all)."""
        return self.network.step(self._own(feature), state)

    def attention(self, features: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Of a network with one answer per video, as VideoHead.attention."""
        return cast(VideoHead, self.network).attention(self._own(features), mask)

    def _own(self, features: torch.Tensor) -> torch.Tensor:
        return features[..., self._columns].contiguous()


def side_by_side(
    network: Ensemble, header: Mapping[str, Any], folds: Sequence[int], hashes: Sequence[str]
) -> tuple[Ensemble, dict[str, Any]]:
    """The networks of all folds and their header, for features that lie side by side.

    Args:
        network: As the header rebuilds it.
        header: Of models/temporal.safetensors.
        folds: In the order in which their features lie.
        hashes: Of the weights of each fold's backbone.
    """
    dim = int(header["dim"])
    members = [
        OnColumns(network[number], dim * folds.index(member["fold"]))
        for number, member in enumerate(header["members"])
    ]
    described = {
        **header,
        "dim": dim * len(folds),
        "weights_hash": fingerprint(side_by_side=list(hashes)),
        # Their backbones are no longer their own.
        "members": [
            {key: value for key, value in member.items() if key != "weights_hash"}
            for member in header["members"]
        ],
    }
    return Ensemble(members), described
