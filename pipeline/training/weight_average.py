"""A moving average of a network's weights (EMA)."""

import copy

import torch
from torch import nn

from pipeline.networks.temporal.contract import TemporalModule


class WeightAverage(nn.Module):
    """A network in training and the exponential moving average of its weights.

    Polyak and Juditsky 1992 in the exponential form of Tarvainen and Valpola, "Mean teachers are
    better role models", 2017. The average begins short, as TensorFlow's: at step n it keeps
    min(decay, (1 + n) / (10 + n)) of itself, so that the initial weights are soon forgotten. Means
    and variances of batch norm are averaged like weights.

    Args:
        trained: The network whose weights an optimizer changes.
        decay: What the average keeps of itself in each step, in the long run.

    Attributes:
        trained: As given.
        mean: The network with averaged weights, for validation and to be kept.
        steps: How many were averaged; part of the state, for a training that is resumed.
    """

    trained: TemporalModule
    mean: TemporalModule
    steps: torch.Tensor

    def __init__(self, trained: TemporalModule, decay: float) -> None:
        super().__init__()
        self.trained = trained
        self.mean = copy.deepcopy(trained).requires_grad_(False)
        self.decay = decay
        self.register_buffer("steps", torch.tensor(0))

    def follow(self, optimizer: torch.optim.Optimizer) -> None:
        """Take in the weights after each step of this optimizer."""
        optimizer.register_step_post_hook(lambda *_: self.update())

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights as they are now."""
        self.steps += 1
        steps = int(self.steps)
        share = 1 - min(self.decay, (1 + steps) / (10 + steps))
        now = self.trained.state_dict()
        for name, mean in self.mean.state_dict().items():
            if mean.is_floating_point():
                mean.lerp_(now[name], share)
            else:
                mean.copy_(now[name])
