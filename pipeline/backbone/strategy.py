"""Which blocks of the backbone train in an epoch, and at which rate."""

from collections.abc import Sequence
from typing import Any

from pipeline.backbone.classifier import FrameClassifier
from pipeline.backbone.params_finetune import FinetuneParams


def first_trained(params: FinetuneParams, epoch: int, weighted: Sequence[bool]) -> int:
    """The lowest block of the backbone that trains in an epoch; those below it stay as they are.

    Args:
        params: The section `backbone.finetune`.
        epoch: From 1.
        weighted: For each block whether it has weights; ReLU and pooling have none.

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
    """Freeze the blocks below `first`: their weights and their batch-norm statistics.

    Sets the whole network to training first; call it before each epoch.
    """
    network.train()
    for row, block in enumerate(network.blocks):
        block.train(row >= first)
        block.requires_grad_(row >= first)
    network.pool.requires_grad_(first < len(network.blocks))


def parameter_groups(network: FrameClassifier, params: FinetuneParams) -> list[dict[str, Any]]:
    """A group for the heads and one per block, from the top, each with its `rate` relative to lr.

    The weights of the pool, such as the last norm of a transformer, go with the highest block.
    """
    heads = [p for name, p in network.named_parameters() if not name.startswith("backbone.")]
    groups: list[dict[str, Any]] = [{"params": heads, "rate": 1.0}]
    rate = params.backbone_lr
    above = list(network.pool.parameters())
    for block in reversed(network.blocks):
        weights = [*block.parameters(), *above]
        if weights:
            groups.append({"params": weights, "rate": rate})
            rate *= params.layer_decay
            above = []
    return groups
