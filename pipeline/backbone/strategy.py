"""Which children of the CNN train in an epoch, and at which rate."""

import math
from collections.abc import Sequence
from typing import Any

from pipeline.backbone.classifier import FrameClassifier
from pipeline.backbone.params_finetune import FinetuneParams


def first_trained(params: FinetuneParams, epoch: int, weighted: Sequence[bool]) -> int:
    """The lowest child of the CNN that trains in an epoch; those below it stay as they are.

    Args:
        params: The section `backbone.finetune`.
        epoch: From 1.
        weighted: For each child whether it has weights; ReLU and pooling have none.

    Returns:
        A row of `weighted`; its length where the head alone trains.
    """
    match params.strategy:
        case "head":
            return len(weighted)
        case "whole":
            return 0
        case "two_stage":
            return 0 if epoch >= params.unfreeze_epoch else len(weighted)
        case "freeze_until":
            return params.freeze_until
        case "progressive":
            thawed = (epoch - 1) // params.unfreeze_every
            rows = [row for row, has in enumerate(weighted) if has]
            return ([*rows, len(weighted)])[max(0, len(rows) - thawed)]


def set_trained(network: FrameClassifier, first: int) -> None:
    """Freeze the children below `first`: their weights and their batch-norm statistics.

    Sets the whole network to training first; call it before each epoch.
    """
    network.train()
    for row, child in enumerate(network.children_of_cnn()):
        child.train(row >= first)
        child.requires_grad_(row >= first)


def parameter_groups(network: FrameClassifier, params: FinetuneParams) -> list[dict[str, Any]]:
    """A group for the heads and one per child of the CNN, each with its `rate`, relative to lr."""
    heads = [p for name, p in network.named_parameters() if not name.startswith("cnn.")]
    groups: list[dict[str, Any]] = [{"params": heads, "rate": 1.0}]
    rate = params.backbone_lr
    for child in reversed(network.children_of_cnn()):
        weights = list(child.parameters())
        if weights:
            groups.append({"params": weights, "rate": rate})
            rate *= params.layer_decay
    return groups


def learning_rate(params: FinetuneParams, epoch: int, val_losses: Sequence[float | None]) -> float:
    """The head's rate in an epoch (from 1), from the validation losses of the epochs before."""
    if params.scheduler == "cosine":
        return params.lr * (1 + math.cos(math.pi * (epoch - 1) / params.epochs)) / 2
    rate, lowest, waited = params.lr, math.inf, 0
    if params.scheduler == "plateau":
        for loss in val_losses[: epoch - 1]:
            if loss is not None and loss < lowest:
                lowest, waited = loss, 0
                continue
            waited += 1
            if waited > params.plateau_patience:
                rate, waited = rate * params.plateau_factor, 0
    return rate
