"""Temporal networks as graphs: one frame and a state, or a whole video."""

from collections.abc import Iterator

import torch
from torch import nn
from torch.export import Dim

from pipeline.errors import PipelineError
from pipeline.export.graph import Graph
from pipeline.networks.temporal.contract import State, TemporalModule

# An example of any size but 0 and 1, which torch takes for constants.
_BATCH = 2
_FRAMES = 150


class Step(nn.Module):
    """A causal network with a flat state.

    Args:
        network: In evaluation mode.
        like: A state of it, for how its tuples are nested.
    """

    def __init__(self, network: TemporalModule, like: State) -> None:
        super().__init__()
        self.network = network
        self.like = like

    def forward(
        self, feature: torch.Tensor, state: tuple[torch.Tensor, ...]
    ) -> tuple[torch.Tensor, ...]:
        """Feature (B, D) and the tensors of a state to logits (B, C) and those of the next."""
        logits, after = self.network.step(feature, _nested(self.like, iter(state)))
        return logits, *_flat(after)


class Whole(nn.Module):
    """A network over whole videos without padding: features (1, T, D) to logits (1, T, C)."""

    def __init__(self, network: TemporalModule) -> None:
        super().__init__()
        self.network = network

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """See the class."""
        mask = torch.ones(features.shape[:2], dtype=torch.bool)
        logits: torch.Tensor = self.network(features, mask).logits[-1]
        return logits


def temporal_graph(network: TemporalModule, kind: str) -> Graph:
    """The network as a graph: a step where it is causal, otherwise the whole video.

    Args:
        network: In evaluation mode, on the CPU.
        kind: As in `model.kind`, for messages.

    Raises:
        PipelineError: It has no form of fixed inputs.
    """
    what = f"model.kind: {kind}"
    return _step(network, what) if network.causal else _whole(network, what)


@torch.no_grad()
def _step(network: TemporalModule, what: str) -> Graph:
    feature = torch.randn(_BATCH, network.dim)
    _, state = network.step(feature)
    tensors = _flat(state)
    _check_state(network, feature, state, what)
    _, larger = network.step(torch.randn(_BATCH + 1, network.dim))
    batch = Dim("batch")
    axes = [
        next(axis for axis, size in enumerate(own.shape) if size != other.shape[axis])
        for own, other in zip(tensors, _flat(larger), strict=True)
    ]
    numbers = range(len(tensors))
    return Graph(
        what=what,
        network=Step(network, state).eval(),
        example=(feature, tuple(tensors)),
        dynamic=({0: batch}, tuple({axis: batch} for axis in axes)),
        inputs=("feature", *(f"state_{number}" for number in numbers)),
        outputs=("logits", *(f"next_state_{number}" for number in numbers)),
        strict=True,
    )


def _check_state(network: TemporalModule, feature: torch.Tensor, state: State, what: str) -> None:
    """Whether the state has one shape from the first frame on, and zeros stand for a beginning.

    Raises:
        PipelineError: It has not, as with attention, whose past grows until it fills its window.
    """
    first, after = network.step(feature)
    zeros = [torch.zeros_like(tensor) for tensor in _flat(state)]
    _, later = network.step(feature, after)
    shapes = [[tensor.shape for tensor in _flat(found)] for found in (state, later)]
    alike = shapes[0] == shapes[1]
    if alike:
        begun, _ = network.step(feature, _nested(state, iter(zeros)))
        alike = torch.allclose(begun, first, atol=1e-5)
    if not alike:
        raise PipelineError(
            f"{what} cannot be exported: the past that it keeps grows from frame to frame, as that "
            "of attention does, and a graph has inputs of one size. Allowed: rnn without "
            "attention, tecno, linear, mlp, ssm, and mstcn and mstcnpp in both forms."
        )


def _whole(network: TemporalModule, what: str) -> Graph:
    recurrent = {type(part).__name__ for part in network.modules() if isinstance(part, nn.RNNBase)}
    if recurrent:
        raise PipelineError(
            f"{what} cannot be exported: its bidirectional {recurrent.pop()} over a video of any "
            "length is an operator that torch.export only takes for one length. Allowed: causal "
            "kinds such as rnn with model.bidirectional: false, and mstcn, mstcnpp."
        )
    return Graph(
        what=what,
        network=Whole(network).eval(),
        example=(torch.randn(1, _FRAMES, network.dim),),
        dynamic=({1: Dim("time")},),
        inputs=("features",),
        outputs=("logits",),
        strict=False,
    )


def _flat(state: State) -> list[torch.Tensor]:
    """The tensors of nested tuples, in order; of None, no tensor."""
    if state is None:
        return []
    if isinstance(state, torch.Tensor):
        return [state]
    return [tensor for part in state for tensor in _flat(part)]


def _nested(like: State, tensors: Iterator[torch.Tensor]) -> State:
    """The tensors, nested as those of another state are."""
    if like is None:
        return None
    if isinstance(like, torch.Tensor):
        return next(tensors)
    return tuple(_nested(part, tensors) for part in like)
