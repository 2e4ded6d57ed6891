"""Several trained networks of one kind that answer together: one per fold, one per seed."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import nn

from pipeline.networks.temporal.contract import Outputs, State, TemporalModule


class Ensemble(TemporalModule):
    """The mean of the members' probabilities, as its logarithm.

    So the softmax of its logits is that mean (deep ensembles, Lakshminarayanan et al., "Simple and
    Scalable Predictive Uncertainty Estimation using Deep Ensembles", NeurIPS 2017). Its state is a
    tuple with the state of each member. It is made of trained networks and not trained itself.

    Args:
        members: One at least, for the same features and classes.
    """

    def __init__(self, members: Sequence[TemporalModule]) -> None:
        super().__init__(members[0].dim, members[0].num_classes)
        del self.standardise  # each member knows the statistics of its own training videos
        self.members = nn.ModuleList(members)
        self.causal = all(member.causal for member in members)
        fields = [member.receptive_field for member in members]
        known = [field for field in fields if field is not None]
        self.receptive_field = max(known) if len(known) == len(fields) else None

    def forward(
        self, features: torch.Tensor, mask: torch.Tensor, state: State | None = None
    ) -> Outputs:
        """Logits of every frame, in one (B, T, C) tensor."""
        outputs: list[Outputs] = [
            member(features, mask, own) for member, own in self._with_states(state)
        ]
        states = tuple(output.state for output in outputs)
        carried = None if all(own is None for own in states) else states
        return Outputs([_log_mean([output.logits[-1] for output in outputs])], carried)

    def step(self, feature: torch.Tensor, state: State | None = None) -> tuple[torch.Tensor, State]:
        """The logits (B, C) of one more frame: a step of every member."""
        if not self.causal:
            raise NotImplementedError("a network that looks into the future cannot run live")
        stepped = [member.step(feature, own) for member, own in self._with_states(state)]
        return _log_mean([logits for logits, _ in stepped]), tuple(own for _, own in stepped)

    def __getitem__(self, number: int) -> TemporalModule:
        """The member at a place."""
        return cast(TemporalModule, self.members[number])

    def _with_states(self, state: State | None) -> list[tuple[TemporalModule, State | None]]:
        states = [None] * len(self.members) if state is None else state
        return [(self[number], own) for number, own in enumerate(states)]


def chosen(
    network: TemporalModule,
    header: Mapping[str, Any],
    fold: int | None = None,
    seed: int | None = None,
) -> TemporalModule:
    """The members of a model file that are of one fold, of one seed, or of both.

    Args:
        network: As the header rebuilds it.
        header: Of models/temporal.safetensors.
        fold: None: of all folds.
        seed: None: of all seeds.

    Returns:
        An Ensemble, or the network itself where it is the only one.
    """
    if not isinstance(network, Ensemble):
        return network
    found = [
        network[number]
        for number, member in enumerate(header["members"])
        if fold in (None, member["fold"]) and seed in (None, member["seed"])
    ]
    return found[0] if len(found) == 1 else Ensemble(found)


def _log_mean(logits: Sequence[torch.Tensor]) -> torch.Tensor:
    """Logarithm of the mean softmax over classes, the last axis."""
    each = torch.stack([own.log_softmax(dim=-1) for own in logits])
    return each.logsumexp(dim=0) - math.log(len(logits))
