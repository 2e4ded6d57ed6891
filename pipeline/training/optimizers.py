"""The optimizers of temporal networks."""

from collections.abc import Iterable
from typing import Any, Literal

import torch
from torch import nn

Kind = Literal["adamw", "adam", "sgd"]

_MOMENTUM = 0.9


def optimizer(
    kind: Kind,
    parameters: Iterable[nn.Parameter],
    lr: float,
    weight_decay: float,
    decay: Literal["all", "matrices"],
) -> torch.optim.Optimizer:
    """An optimizer of these parameters.

    Args:
        kind: `sgd` has momentum 0.9. The decay of `adam` and `sgd` is part of the gradient, that of
            `adamw` is not (Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019).
        parameters: What it changes; others of the network stay.
        lr: Learning rate.
        weight_decay: Of the weights that decay.
        decay: Which do: all, or matrices alone (convolutions among them), without biases and the
            scales of norms.
    """
    trained = list(parameters)
    groups: list[dict[str, Any]] = [{"params": trained}]
    if decay == "matrices":
        groups = [
            {"params": [p for p in trained if p.ndim >= 2]},
            {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
        ]
    # Fused: one pass over the weights in place of ten.
    match kind:
        case "adamw":
            return torch.optim.AdamW(groups, lr=lr, weight_decay=weight_decay, fused=True)
        case "adam":
            return torch.optim.Adam(groups, lr=lr, weight_decay=weight_decay, fused=True)
        case "sgd":
            return torch.optim.SGD(
                groups, lr=lr, momentum=_MOMENTUM, weight_decay=weight_decay, fused=True
            )


def step(optimizer: torch.optim.Optimizer, passes: int, clip_norm: float) -> None:
    """One step on the mean gradient of so many backward passes, and no gradient afterwards.

    Args:
        optimizer: Of parameters that hold the sum of the gradients.
        passes: How many were added up.
        clip_norm: Largest norm of the mean.
    """
    trained = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    if passes > 1:
        for parameter in trained:
            if parameter.grad is not None:
                parameter.grad /= passes
    torch.nn.utils.clip_grad_norm_(trained, clip_norm)
    optimizer.step()
    optimizer.zero_grad()
