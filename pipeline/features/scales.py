"""The scales of a network in eight bits, by themselves.

They are all that the frames behind `quantise` decide: with them the network is made again from its
weights alone, to the last bit.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from pipeline.errors import PipelineError
from pipeline.features.quantise import quantise

Scales = Mapping[str, float]
"""Scales and zero points by the names that torch gives them in the quantised network."""


def scales_of(quantised: nn.Module) -> dict[str, float]:
    """The scales and zero points of a network from `quantise`."""
    return {name: value.item() for name, value in _scalars(quantised.state_dict()).items()}


def quantised_by(
    scales: Scales, folded: nn.Module, example: torch.Tensor, in_full: Sequence[str]
) -> nn.Sequential:
    """The network that `quantise` made where these scales come from.

    Args:
        scales: From scales_of.
        folded: As `quantise` takes it.
        example: Images (B, 3, H, W) uint8; their content decides nothing.
        in_full: As `quantise` takes it.

    Raises:
        PipelineError: The scales are those of another network, or of a torch that names layers
            differently; or this build of torch cannot do it.
    """
    quantised = quantise(folded, [example], in_full)
    state = quantised.state_dict()
    own = _scalars(state)
    if own.keys() != scales.keys():
        raise PipelineError(
            f"the scales of int8 name {len(scales)} numbers, but the network that this torch "
            f"{torch.__version__} makes has {len(own)}, or others. Use the version of torch that "
            "they come from, or run `dvc repro` with this one."
        )
    state |= {name: torch.tensor(scales[name], dtype=own[name].dtype) for name in own}
    quantised.load_state_dict(state)
    return quantised


def _scalars(state: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    return {
        name: value
        for name, value in state.items()
        if isinstance(value, torch.Tensor) and value.dim() == 0 and _is_scale(name)
    }


def _is_scale(name: str) -> bool:
    last = name.rpartition(".")[2]
    return "scale" in last or "zero_point" in last
