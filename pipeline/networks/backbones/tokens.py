"""Tokens of transformers: the one that stands for the image, and those of its patches as a map."""

import math

import torch
from torch import nn


class FirstToken(nn.Module):
    """The class token, which comes first."""

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """(B, N, D) to (B, D)."""
        return tokens[:, 0]


def token_map(tokens: torch.Tensor, others: int = 1) -> torch.Tensor:
    """The tokens of a square image's patches (B, others + h h, D) as a map (B, D, h, h).

    Args:
        tokens: From a layer.
        others: Class token and registers, which come first.
    """
    patches = tokens[:, others:].transpose(1, 2)
    side = math.isqrt(patches.shape[2])
    return patches.reshape(*patches.shape[:2], side, side)
