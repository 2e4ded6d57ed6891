"""Attention rollout: which patches a vision transformer's output was put together from.

Abnar and Zuidema, "Quantifying Attention Flow in Transformers", ACL 2020. It says nothing of
classes: every prediction from one image has the same rollout.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

# A class token and the four registers of DINOv2.
_MOST_PREFIX_TOKENS = 5
# Where timm has its plain attention, now and in older versions. By name, so that timm need not be
# installed.
_TIMM = ("timm.layers.attention", "timm.models.vision_transformer")


def rollout(attentions: Sequence[torch.Tensor]) -> torch.Tensor:
    """How much of each input token is in each output token.

    The mean over the heads of every layer, half of it replaced by the identity for the residual
    connection (section 3, "attention rollout"), multiplied from the first layer to the last.

    Args:
        attentions: (B, heads, N, N) of each layer from the image to the top, rows sum to 1.

    Returns:
        (B, N, N), rows sum to 1.
    """
    size = attentions[0].shape[-1]
    identity = torch.eye(size, dtype=attentions[0].dtype, device=attentions[0].device)
    flow = identity.expand(len(attentions[0]), size, size)
    for attention in attentions:
        flow = (attention.mean(dim=1) + identity) / 2 @ flow
    return flow


def patch_shares(flow: torch.Tensor) -> torch.Tensor | None:
    """What a transformer's feature took from each patch of a square image.

    Args:
        flow: (B, N, N) from rollout. The last tokens are the patches, row by row; the first ones,
            where N leaves any, are the class token and registers. The feature is the class token,
            or without one the mean over the patches.

    Returns:
        (B, h, h); None where N is no square of patches with up to five tokens before them.
    """
    size = flow.shape[-1]
    side = math.isqrt(size)
    prefix = size - side**2
    if prefix > _MOST_PREFIX_TOKENS:
        return None
    rows = flow[:, 0] if prefix else flow.mean(dim=1)
    return rows[:, prefix:].reshape(-1, side, side)


@torch.no_grad()
def attentions_of(network: nn.Module, images: torch.Tensor) -> list[torch.Tensor]:
    """The attention matrices of a forward pass, (B, heads, N, N) each, in the order of the layers.

    Known are torch's nn.MultiheadAttention, of which torchvision's transformers are made, and the
    attention of timm's vision transformers. Empty where a network has none of them, and where
    their matrices differ in size or lead from some tokens to others.

    Args:
        network: In evaluation mode.
        images: What it takes.
    """
    found: list[torch.Tensor] = []

    def keep_weights(_: nn.Module, __: Any, output: Any) -> None:
        found.append(output[1])

    def keep_softmax(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        found.append(_softmax_of(module, inputs[0]))

    hooks = []
    for module in network.modules():
        if isinstance(module, nn.MultiheadAttention):
            hooks.append(module.register_forward_pre_hook(_with_weights, with_kwargs=True))
            hooks.append(module.register_forward_hook(keep_weights))
        elif type(module).__name__ == "Attention" and type(module).__module__ in _TIMM:
            hooks.append(module.register_forward_pre_hook(keep_softmax))
    try:
        if hooks:
            network(images)
    finally:
        for hook in hooks:
            hook.remove()
    shapes = {attention.shape for attention in found}
    square = all(queries == keys for *_, queries, keys in shapes)
    return found if square and len(shapes) == 1 else []


def _with_weights(
    module: nn.Module, inputs: tuple[Any, ...], options: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The same call, asked to return the weights of each head, which callers mostly leave out."""
    return inputs, options | {"need_weights": True, "average_attn_weights": False}


def _softmax_of(module: Any, tokens: torch.Tensor) -> torch.Tensor:
    """What timm's fused kernel does not return: tokens (B, N, D) to weights (B, heads, N, N)."""
    qkv = module.qkv(tokens).unflatten(2, (3, module.num_heads, -1)).permute(2, 0, 3, 1, 4)
    query, key = module.q_norm(qkv[0]), module.k_norm(qkv[1])
    weights: torch.Tensor = (query * module.scale @ key.transpose(-2, -1)).softmax(dim=-1)
    return weights
