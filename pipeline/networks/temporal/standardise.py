"""Features brought to zero mean and unit variance by statistics of the training videos."""

import torch
from torch import nn


class Standardise(nn.Module):
    """(x - mean) / std per feature, with both kept among the weights.

    Untrained or foreign CNNs give features of any scale; without this the learning rate would
    have to follow it.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("std", torch.ones(dim))

    def fit(self, mean: torch.Tensor, std: torch.Tensor) -> None:
        """Set the statistics, each (D,); a feature that never changes keeps the scale 1."""
        self.mean.copy_(mean)
        self.std.copy_(torch.where(std > 1e-6, std, torch.ones_like(std)))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Features (..., D) standardised, in the type of the statistics."""
        return (features.to(self.mean.dtype) - self.mean) / self.std
