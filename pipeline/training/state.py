"""The state of a training, so that a killed one goes on where it was.

Safetensors and JSON, not pickle: tensors are named, and everything else is plain numbers.
"""

import time
from pathlib import Path
from typing import Any

import torch

from pipeline.checkpoint import load_checkpoint, read_header, save_checkpoint

Tensors = dict[str, torch.Tensor]

SAVE_EVERY_S = 20.0
"""A state is four times the weights: writing it after each short epoch would take longer than the
epoch itself."""


class StateFile:
    """Where the state of a training lies between its beginning and its end.

    Args:
        path: Below the store, where DVC does not delete it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._saved = time.monotonic()

    def is_due(self) -> bool:
        """Whether the last state is SAVE_EVERY_S old."""
        return time.monotonic() - self._saved >= SAVE_EVERY_S

    def save(
        self,
        network: torch.nn.Module,
        best: Tensors,
        optimizer: torch.optim.Optimizer,
        header: dict[str, Any],
    ) -> None:
        """Write weights, best weights and the optimizer's moments."""
        moments = optimizer.state_dict()["state"]
        save_checkpoint(
            self.path,
            {f"network/{name}": tensor for name, tensor in network.state_dict().items()}
            | {f"best/{name}": tensor for name, tensor in best.items()}
            | {
                f"optimizer/{number}/{name}": torch.as_tensor(value)
                for number, state in moments.items()
                for name, value in state.items()
            },
            header,
        )
        self._saved = time.monotonic()

    def header(self) -> dict[str, Any] | None:
        """The header of the saved state; None where there is none."""
        return read_header(self.path) if self.path.is_file() else None

    def load(self, network: torch.nn.Module, optimizer: torch.optim.Optimizer) -> Tensors:
        """Restore network and optimizer, and return the best weights so far, on the CPU.

        Load after the network has moved to its device: the moments go to where each parameter
        lies now, and do not follow it later.
        """
        tensors, _ = load_checkpoint(self.path)
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
        return _below("best/", tensors)

    def best(self) -> tuple[Tensors, dict[str, Any]]:
        """The best weights of the saved state, and its header."""
        tensors, header = load_checkpoint(self.path)
        return _below("best/", tensors), header

    def remove(self) -> None:
        """Forget it: the training has ended and its result is kept."""
        self.path.unlink(missing_ok=True)


def copied(network: torch.nn.Module) -> Tensors:
    """The weights as they are now, on the CPU: state_dict() itself changes with the training."""
    return {name: tensor.detach().cpu().clone() for name, tensor in network.state_dict().items()}


def _below(prefix: str, tensors: Tensors) -> Tensors:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }
