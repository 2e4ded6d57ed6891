"""Temporal networks as graphs: one frame and a state, or a whole video."""

import torch
from torch import nn
from torch.export import Dim

from pipeline.errors import PipelineError
from pipeline.export.graph import Graph
from pipeline.export.state import flat, nested
from pipeline.export.step import with_fixed_state
from pipeline.export.whole import of_any_length
from pipeline.export.whole_answers import answers_of
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
        logits, after = self.network.step(feature, nested(self.like, iter(state)))
        return logits, *flat(after)


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


def temporal_graph(network: TemporalModule, kind: str, of_videos: bool = False) -> Graph:
    """The network as a graph: a step where it is causal, otherwise the whole video.

    Args:
        network: In evaluation mode, on the CPU.
        kind: As in `model.kind`, for messages.
        of_videos: Whether it gives one answer per video, which needs the whole video.

    Raises:
        PipelineError: It has no form of fixed inputs.
    """
    what = f"model.kind: {kind}"
    if of_videos:
        return _over_video(answers_of(network), network.dim, what, ("logits", "attention"))
    if network.causal:
        return _step(with_fixed_state(network), what)
    whole = Whole(of_any_length(network))
    return _over_video(whole, network.dim, what, ("logits",))


@torch.no_grad()
def _step(network: TemporalModule, what: str) -> Graph:
    feature = torch.randn(_BATCH, network.dim)
    _, state = network.step(feature)
    tensors = flat(state)
    _check_state(network, feature, state, what)
    _, larger = network.step(torch.randn(_BATCH + 1, network.dim))
    batch = Dim("batch")
    axes = [
        next(axis for axis, size in enumerate(own.shape) if size != other.shape[axis])
        for own, other in zip(tensors, flat(larger), strict=True)
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
        PipelineError: It has not.
    """
    first, after = network.step(feature)
    zeros = [torch.zeros_like(tensor) for tensor in flat(state)]
    _, later = network.step(feature, after)
    shapes = [[tensor.shape for tensor in flat(found)] for found in (state, later)]
    alike = shapes[0] == shapes[1]
    if alike:
        begun, _ = network.step(feature, nested(state, iter(zeros)))
        alike = torch.allclose(begun, first, atol=1e-5)
    if not alike:
        raise PipelineError(
            f"{what} cannot be exported: what it keeps from frame to frame changes its size, or is "
            "not zero at a video's start, and a graph has inputs of one size. Give its parts a "
            "form in pipeline/export/step.py that keeps a fixed state."
        )


def _over_video(network: nn.Module, dim: int, what: str, outputs: tuple[str, ...]) -> Graph:
    return Graph(
        what=what,
        network=network.eval(),
        example=(torch.randn(1, _FRAMES, dim),),
        dynamic=({1: Dim("time")},),
        inputs=("features",),
        outputs=outputs,
        strict=False,
    )
