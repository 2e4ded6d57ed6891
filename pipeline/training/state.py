"""The state of a training after each epoch, so that a killed one goes on where it was.

Safetensors and JSON, not pickle: tensors are named, and everything else is plain numbers.
"""

from pathlib import Path
from typing import Any

import torch

from pipeline.checkpoint import load_checkpoint, save_checkpoint

Tensors = dict[str, torch.Tensor]


def save_state(
    path: Path,
    network: torch.nn.Module,
    best: Tensors,
    optimizer: torch.optim.Optimizer,
    header: dict[str, Any],
) -> None:
    """Write weights, best weights and the optimizer's moments."""
    moments = optimizer.state_dict()["state"]
    save_checkpoint(
        path,
        {f"network/{name}": tensor for name, tensor in network.state_dict().items()}
        | {f"best/{name}": tensor for name, tensor in best.items()}
        | {
            f"optimizer/{number}/{name}": torch.as_tensor(value)
            for number, state in moments.items()
            for name, value in state.items()
        },
        header,
    )


def load_state(
    path: Path, network: torch.nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[Tensors, dict[str, Any]]:
    """Restore network and optimizer.

    Returns:
        The best weights so far, and the header.
    """
    tensors, header = load_checkpoint(path)
    network.load_state_dict(_below("network/", tensors))
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    moments: dict[int, Tensors] = {}
    for name, value in _below("optimizer/", tensors).items():
        number, _, key = name.partition("/")
        parameter = parameters[int(number)]
        if value.shape == parameter.shape:
            # In the memory order of the parameter, which the file does not know.
            value = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
        moments.setdefault(int(number), {})[key] = value
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": moments, "param_groups": groups})
    return _below("best/", tensors), header


def read_best(path: Path) -> tuple[Tensors, dict[str, Any]]:
    """The best weights of a state, and its header."""
    tensors, header = load_checkpoint(path)
    return _below("best/", tensors), header


def _below(prefix: str, tensors: Tensors) -> Tensors:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }
