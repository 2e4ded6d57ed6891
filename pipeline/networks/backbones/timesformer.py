"""TimeSformer: attention through time at each place, then within each frame, with a class token.

Bertasius et al., "Is Space-Time Attention All You Need for Video Understanding?", ICML 2021, with
divided attention. Layers of transformers, whose attention is replaced by PyTorch's fused one.

Its weights are published as pickled files only, which are not fetched. Files with the names of
transformers or of upstream's own code are read, among them those of Endo-FM (Wang et al.,
"Foundation Model for Endoscopy Video Analysis via Large-scale Self-supervised Pre-train", MICCAI
2023), which is a `timesformer_base`.
"""

from dataclasses import dataclass

import torch
from torch import nn

from pipeline.networks.backbones.clip_input import OfSize, check_length
from pipeline.networks.backbones.contract import Backbone, ClipSize, PublishedWeights, Tensors
from pipeline.networks.backbones.hugging_face import transformers_module
from pipeline.networks.backbones.tensor_names import Rules, renamed
from pipeline.networks.backbones.token_network import (
    blocks_of,
    first_output,
    pool_of,
    token_network,
)
from pipeline.networks.backbones.tokens import FirstToken
from pipeline.networks.backbones.transform import Transform

NAMES: tuple[str, ...] = ("timesformer_base", "timesformer_hr")
LIBRARIES: tuple[str, ...] = ("transformers",)

_PATCH = 16
_DIM, _LAYERS, _HEADS = 768, 12, 12


@dataclass(frozen=True)
class _Published:
    crop_px: int
    frames: int
    every: int  # of 30 frames per second


_PUBLISHED = {
    "timesformer_base": _Published(224, 8, 32),
    "timesformer_hr": _Published(448, 16, 16),
}

_RULES: Rules = (
    (r"^timesformer\.", ""),
    (r"^encoder\.layer\.", "layer."),
    (r"^(cls_token)$", r"embeddings.\1"),
    (r"^pos_embed$", "embeddings.position_embeddings"),
    (r"^time_embed$", "embeddings.time_embeddings"),
    (r"^patch_embed\.proj\.", "embeddings.patch_embeddings.projection."),
    (r"^norm\.", "layernorm."),
    (r"^blocks\.", "layer."),
    (r"\.norm1\.", ".layernorm_before."),
    (r"\.norm2\.", ".layernorm_after."),
    (r"\.temporal_norm1\.", ".temporal_layernorm."),
    (r"\.temporal_fc\.", ".temporal_dense."),
    (r"\.(temporal_)?attn\.qkv\.", r".\1attention.attention.qkv."),
    (r"\.(temporal_)?attn\.proj\.", r".\1attention.output.dense."),
    (r"\.mlp\.fc1\.", ".intermediate.dense."),
    (r"\.mlp\.fc2\.", ".output.dense."),
)


def build(name: str, frames: int) -> Backbone:
    """An untrained TimeSformer; its features are the class token, normalised.

    Raises:
        PipelineError: transformers is not installed.
    """
    check_length(name, frames)
    crop_px = _PUBLISHED[name].crop_px
    config = transformers_module("timesformer.configuration_timesformer").TimesformerConfig(
        num_frames=frames,
        image_size=crop_px,
        hidden_size=_DIM,
        num_hidden_layers=_LAYERS,
        num_attention_heads=_HEADS,
        intermediate_size=4 * _DIM,
    )
    parts = transformers_module("timesformer.modeling_timesformer")
    layers = [parts.TimesformerLayer(config, row) for row in range(_LAYERS)]
    for layer in layers:
        layer.attention.attention = FusedAttention(_DIM, _HEADS)
        layer.temporal_attention.attention = FusedAttention(_DIM, _HEADS)
    network = token_network(
        OfSize(frames, crop_px),
        parts.TimesformerEmbeddings(config),
        [first_output(layer) for layer in layers],
        class_token=FirstToken(),
        layernorm=nn.LayerNorm(_DIM, eps=config.layer_norm_eps),
    )
    side = crop_px // _PATCH

    def maps(tokens: torch.Tensor) -> torch.Tensor:
        # Its tokens lie in the order height, width, time.
        patches = tokens[:, 1:].transpose(1, 2)
        return patches.reshape(len(patches), -1, side, side, frames).movedim(-1, 2)

    return Backbone(
        name=f"{name}@{frames}",
        network=network,
        dim=_DIM,
        transform=Transform(
            resize_px=crop_px,
            crop_px=crop_px,
            interpolation="bilinear",
            mean=(0.45, 0.45, 0.45),
            std=(0.225, 0.225, 0.225),
        ),
        blocks=lambda: blocks_of(network),
        pool=pool_of(network),
        classifier_keys=("classifier.", "head."),
        translate=_translate,
        maps=maps,
        clip_frames=frames,
    )


def published(name: str) -> dict[str, PublishedWeights]:
    """None that can be had without unpickling."""
    return {}


def clip_size(name: str) -> ClipSize:
    """As in the names of the published settings: 8 x 32 and 16 x 16."""
    sizes = _PUBLISHED[name]
    return ClipSize(frames=sizes.frames, stride_s=sizes.every / 30)


class FusedAttention(nn.Module):
    """Attention among tokens, without the layer after it.

    Args:
        dim: Length of a token.
        heads: Among which it is divided.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)

    def forward(self, tokens: torch.Tensor, weights: bool = False) -> tuple[torch.Tensor]:
        """Tokens (B, N, dim) to the same, alone in a tuple.

        Args:
            tokens: Among which attention goes.
            weights: Of attention; they are never returned. The layers around it ask.
        """
        count, length, dim = tokens.shape
        joint = self.qkv(tokens).reshape(count, length, 3, self.heads, dim // self.heads)
        query, key, value = joint.permute(2, 0, 3, 1, 4)
        seen = nn.functional.scaled_dot_product_attention(query, key, value)
        return (seen.transpose(1, 2).reshape(count, length, dim),)


def _translate(tensors: Tensors) -> Tensors:
    return renamed(tensors, _RULES)
