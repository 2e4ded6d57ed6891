"""The state of a causal network as a list of tensors, which is how a graph takes it."""

from collections.abc import Iterator

import torch

from pipeline.networks.temporal.contract import State


def flat(state: State) -> list[torch.Tensor]:
    """The tensors of nested tuples, in order; of None, no tensor."""
    if state is None:
        return []
    if isinstance(state, torch.Tensor):
        return [state]
    return [tensor for part in state for tensor in flat(part)]


def nested(like: State, tensors: Iterator[torch.Tensor]) -> State:
    """The tensors, nested as those of another state are."""
    if like is None:
        return None
    if isinstance(like, torch.Tensor):
        return next(tensors)
    return tuple(nested(part, tensors) for part in like)
