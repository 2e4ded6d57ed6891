"""The learning rate of each epoch, by torch's schedulers."""

import math
from typing import Literal

import torch
from torch.optim import lr_scheduler
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

Kind = Literal["constant", "cosine", "cosine_restarts", "plateau"]
Schedule = LRScheduler | ReduceLROnPlateau

_FIRST_PERIOD = 10
"""Epochs until the first restart; each period is twice as long as the one before."""


def schedule(
    kind: Kind, lr: float, epochs: int, plateau_factor: float = 0.5, plateau_patience: int = 3
) -> Schedule:
    """A schedule that stands at the first epoch; see `rate` and `advance`.

    It has an optimizer to itself. A resumed training can so repeat the schedule's past epochs,
    and one whose parameters have rates of their own multiplies them.

    Args:
        kind: `cosine` falls to zero over all epochs. `cosine_restarts` falls to zero within 10,
            20, 40, ... epochs (SGDR, Loshchilov and Hutter 2017). `plateau` multiplies the rate by
            `plateau_factor` after more than `plateau_patience` epochs without a lower validation
            loss.
        lr: Of the first epoch.
        epochs: At most.
        plateau_factor: For `plateau`.
        plateau_patience: For `plateau`.
    """
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=lr)
    match kind:
        case "constant":
            return lr_scheduler.ConstantLR(optimizer, factor=1.0)
        case "cosine":
            return lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs)
        case "cosine_restarts":
            return lr_scheduler.CosineAnnealingWarmRestarts(optimizer, _FIRST_PERIOD, T_mult=2)
        case "plateau":
            return ReduceLROnPlateau(
                optimizer, factor=plateau_factor, patience=plateau_patience, threshold=0, eps=0
            )


def rate(schedule: Schedule) -> float:
    """The learning rate of the epoch that the schedule stands at."""
    return float(schedule.get_last_lr()[0])


def advance(schedule: Schedule, val_loss: float | None) -> None:
    """Go on to the next epoch.

    Args:
        schedule: Stands at the epoch that has just ended.
        val_loss: Of that epoch; None without validation, which never counts as lower.
    """
    # Changes nothing, since there is no gradient. torch warns where the optimizer has not stepped.
    schedule.optimizer.step()
    if isinstance(schedule, ReduceLROnPlateau):
        schedule.step(math.inf if val_loss is None else val_loss)
    else:
        schedule.step()
