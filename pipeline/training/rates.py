"""The learning rate of each epoch of a temporal network's training: a warm-up, then a schedule."""

from typing import Literal

import torch
from torch.optim.lr_scheduler import OneCycleLR

from pipeline.training.schedules import Schedule, advance, rate, schedule

Kind = Literal["constant", "cosine", "cosine_restarts", "plateau", "one_cycle"]


class Rates:
    """Stands at the first epoch; `now` is its rate, and `advance` goes on to the next.

    A resumed training repeats the past epochs by advancing over them.

    Args:
        kind: As in schedules.py, or `one_cycle`: from a 25th of `lr` up to it within the first 30 %
            of the epochs, then down to nearly nothing, both along a cosine (Smith and Topin,
            "Super-Convergence", 2018). The paper changes the rate with each step, this with each
            epoch; momentum stays.
        lr: The highest rate.
        epochs: At most, the warm-up included.
        warmup: Epochs before the schedule begins. The rate rises in equal steps and is `lr` in the
            epoch after them (Goyal et al., "Accurate, Large Minibatch SGD", 2017).
        plateau_factor: For `plateau`, which does not count the losses of the warm-up.
        plateau_patience: For `plateau`.
    """

    def __init__(
        self,
        kind: Kind,
        lr: float,
        epochs: int,
        warmup: int,
        plateau_factor: float,
        plateau_patience: int,
    ) -> None:
        self._lr = lr
        self._warmup = warmup
        self._done = 0
        self._schedule: Schedule
        if kind == "one_cycle":
            self._schedule = OneCycleLR(
                torch.optim.SGD([torch.zeros(1)], lr=lr),
                max_lr=lr,
                total_steps=epochs - warmup,
                cycle_momentum=False,
            )
        else:
            self._schedule = schedule(kind, lr, epochs - warmup, plateau_factor, plateau_patience)

    @property
    def now(self) -> float:
        """The learning rate of this epoch."""
        if self._done < self._warmup:
            return self._lr * (self._done + 1) / (self._warmup + 1)
        return rate(self._schedule)

    def advance(self, val_loss: float | None) -> None:
        """Go on to the next epoch.

        Args:
            val_loss: Of the epoch that has just ended; None without validation.
        """
        if self._done >= self._warmup:
            advance(self._schedule, val_loss)
        self._done += 1
