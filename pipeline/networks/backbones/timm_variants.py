"""Architectures of published weights that differ from timm's in a detail.

timm builds them if it is told the difference, and calls them nothing; their names here are timm's
with that difference. All were released with surgical weights (surgical.py).
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from torch import nn

# DINOv3 of SurgeNet-DINO: no registers, a bias for the keys too, which the rotation of positions
# does not cancel, and layer norms with the epsilon of ViT.
_DINOV3 = {
    "attn_type": "rope",
    "num_reg_tokens": 0,
    "norm_layer": partial(nn.LayerNorm, eps=1e-6),
    "img_size": 336,
}

VARIANTS: dict[str, tuple[str, Mapping[str, Any]]] = {
    # ReLU in place of StarReLU.
    "caformer_s18_relu": ("caformer_s18", {"act1_layer": nn.ReLU, "mlp_act": nn.ReLU}),
    # Position embeddings for 336 pixels in place of 518.
    "vit_small_patch14_336_dinov2": ("vit_small_patch14_dinov2", {"img_size": 336}),
    "vit_base_patch14_336_dinov2": ("vit_base_patch14_dinov2", {"img_size": 336}),
    "vit_large_patch14_336_dinov2": ("vit_large_patch14_dinov2", {"img_size": 336}),
    "vit_small_patch16_336_dinov3_noreg": ("vit_small_patch16_dinov3_qkvb", _DINOV3),
    "vit_base_patch16_336_dinov3_noreg": ("vit_base_patch16_dinov3_qkvb", _DINOV3),
    "vit_large_patch16_336_dinov3_noreg": ("vit_large_patch16_dinov3_qkvb", _DINOV3),
}
"""By name: the architecture of timm, and what to tell it."""
