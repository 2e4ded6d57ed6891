"""Transformers of clips: embedded patches, layers, and one vector out of all tokens."""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from pipeline.networks.backbones.clip_input import OfSize


def token_network(
    size: OfSize, embeddings: nn.Module, layers: Iterable[nn.Module], **top: nn.Module
) -> nn.Sequential:
    """The parts in a row, newly initialised.

    Args:
        size: What it reads.
        embeddings: From a clip (B, L, 3, H, W) to tokens (B, N, dim), positions added.
        layers: From tokens to tokens.
        top: From tokens to features (B, dim), by name.
    """
    network = nn.Sequential(
        OrderedDict(size=size, embeddings=embeddings, layer=nn.Sequential(*layers), **top)
    )
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.Conv3d):
            nn.init.trunc_normal_(module.weight, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for positions in embeddings.parameters(recurse=False):
        nn.init.trunc_normal_(positions, std=0.02)
    return network


def blocks_of(network: nn.Sequential) -> list[nn.Module]:
    """The embedding and each layer of a token network."""
    layers = network[2]
    assert isinstance(layers, nn.Sequential)
    return [network[:2], *layers]


def pool_of(network: nn.Sequential) -> nn.Module:
    """What a token network does after its last layer."""
    return network[3:]


def first_output(layer: nn.Module) -> nn.Module:
    """The same layer, whose tuple of tokens and attention becomes the tokens alone."""
    layer.register_forward_hook(_first)
    return layer


def _first(layer: nn.Module, inputs: Any, outputs: Any) -> torch.Tensor:
    tokens: torch.Tensor = outputs[0]
    return tokens


class MeanToken(nn.Module):
    """Tokens (B, N, dim) to their mean (B, dim)."""

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """The mean over all tokens."""
        return tokens.mean(dim=1)


def as_map(length: int, side: int, first: int = 0) -> Callable[[torch.Tensor], torch.Tensor]:
    """How tokens in the order time, height, width become a map (B, dim, l, h, w).

    Args:
        length: l.
        side: h and w.
        first: Tokens before those of patches.
    """

    def mapped(tokens: torch.Tensor) -> torch.Tensor:
        patches = tokens[:, first:].transpose(1, 2)
        return patches.reshape(len(patches), -1, length, side, side)

    return mapped
