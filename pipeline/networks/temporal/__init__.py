"""A temporal network from the plain numbers in a header of models/temporal.safetensors."""

from collections.abc import Mapping
from typing import Any

from pipeline.networks.temporal.rnn import RecurrentNetwork
from pipeline.networks.temporal.tecno import Tecno

TemporalNetwork = RecurrentNetwork | Tecno


def build_temporal(kind: str, numbers: Mapping[str, Any]) -> TemporalNetwork:
    """An untrained network.

    Args:
        kind: "rnn" or "tecno".
        numbers: The arguments of its class.

    Raises:
        ValueError: Unknown kind.
    """
    match kind:
        case "rnn":
            return RecurrentNetwork(**numbers)
        case "tecno":
            return Tecno(**numbers)
        case _:
            raise ValueError(f"unknown kind of temporal network: {kind!r}")
