"""VideoMAE: a plain transformer over tubes of two frames, trained to fill in hidden ones.

Tong et al., "VideoMAE: Masked Autoencoders are Data-Efficient Learners for Self-Supervised Video
Pre-Training", NeurIPS 2022; Wang et al., "VideoMAE V2: Scaling Video Masked Autoencoders with Dual
Masking", CVPR 2023. Layers of transformers.

Features are the mean over all tokens, then normalised, as when upstream fine-tunes it. Weights that
were only trained to fill in have no such norm, but one for each token before the decoder; upstream
drops it and starts the other at weight 1 and bias 0, and so does this.
"""

from dataclasses import dataclass

import torch
from torch import nn

from pipeline.networks.backbones.clip_input import OfSize, check_length
from pipeline.networks.backbones.contract import Backbone, ClipSize, PublishedWeights, Tensors
from pipeline.networks.backbones.hugging_face import hub_weights, transformers_module
from pipeline.networks.backbones.tensor_names import Rules, renamed, split_qkv
from pipeline.networks.backbones.token_network import (
    MeanToken,
    as_map,
    blocks_of,
    pool_of,
    token_network,
)
from pipeline.networks.backbones.transform import Transform

NAMES: tuple[str, ...] = ("videomae_base", "videomae_large")
LIBRARIES: tuple[str, ...] = ("transformers",)

_TUBELET = 2
_PATCH = 16
# ImageNet's mean and scale, as in its training and in the published files; the defaults of
# transformers are others.
_TRANSFORM = Transform(
    resize_px=224,
    crop_px=224,
    interpolation="bilinear",
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
)


@dataclass(frozen=True)
class _Size:
    dim: int
    layers: int
    heads: int


_SIZES = {"videomae_base": _Size(768, 12, 12), "videomae_large": _Size(1024, 24, 16)}

# Of the files of transformers, and of upstream's own, in which blocks have timm's names.
_RULES: Rules = (
    (r"^(videomae\.)?(encoder\.)?", ""),
    (r"^patch_embed\.proj\.", "embeddings.patch_embeddings.projection."),
    (r"^blocks\.", "layer."),
    (r"\.norm1\.", ".layernorm_before."),
    (r"\.norm2\.", ".layernorm_after."),
    (r"\.attn\.proj\.", ".attention.output.dense."),
    (r"\.attn\.", ".attention.attention."),
    (r"\.mlp\.fc1\.", ".intermediate.dense."),
    (r"\.mlp\.fc2\.", ".output.dense."),
    (r"\.q_bias$", ".query.bias"),
    (r"\.v_bias$", ".value.bias"),
)


def build(name: str, frames: int) -> Backbone:
    """An untrained VideoMAE encoder.

    Raises:
        ValueError: The number of frames is odd.
        PipelineError: transformers is not installed.
    """
    check_length(name, frames, least=_TUBELET, multiple_of=_TUBELET)
    size, crop_px = _SIZES[name], _TRANSFORM.crop_px
    config = transformers_module("videomae.configuration_videomae").VideoMAEConfig(
        num_frames=frames,
        image_size=crop_px,
        hidden_size=size.dim,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        intermediate_size=4 * size.dim,
        attn_implementation="sdpa",
    )
    parts = transformers_module("videomae.modeling_videomae")
    length, side = frames // _TUBELET, crop_px // _PATCH
    network = token_network(
        OfSize(frames, crop_px),
        Tubelets(parts.VideoMAEPatchEmbeddings(config), length * side * side, size.dim),
        [parts.VideoMAELayer(config) for _ in range(size.layers)],
        mean=MeanToken(),
        fc_norm=nn.LayerNorm(size.dim),
    )
    return Backbone(
        name=f"{name}@{frames}",
        network=network,
        dim=size.dim,
        transform=_TRANSFORM,
        blocks=lambda: blocks_of(network),
        pool=pool_of(network),
        classifier_keys=(
            *("classifier.", "head.", "decoder.", "encoder_to_decoder.", "mask_token"),
            *("position_embeddings", "pos_embed", "layernorm.", "norm."),
        ),
        translate=_translate,
        maps=as_map(length, side),
        clip_frames=frames,
    )


def published(name: str) -> dict[str, PublishedWeights]:
    """Trained on Kinetics-400 with labels, or without; and version 2, without."""
    size = name.removeprefix("videomae_")
    repositories = {
        "KINETICS400": f"MCG-NJU/videomae-{size}-finetuned-kinetics",
        "KINETICS400_SELF_SUPERVISED": f"MCG-NJU/videomae-{size}",
        "V2_SELF_SUPERVISED": f"OpenGVLab/VideoMAEv2-{size.capitalize()}",
    }
    return {label: hub_weights(where, _TRANSFORM) for label, where in repositories.items()}


def clip_size(name: str) -> ClipSize:
    """Every fourth frame of 30 per second."""
    return ClipSize(frames=16, stride_s=4 / 30)


class Tubelets(nn.Module):
    """Patches of two frames as tokens, with fixed positions.

    Args:
        patch_embeddings: Clips (B, L, 3, H, W) to tokens (B, N, dim).
        count: N.
        dim: Length of a token.
    """

    def __init__(self, patch_embeddings: nn.Module, count: int, dim: int) -> None:
        super().__init__()
        self.patch_embeddings = patch_embeddings
        self.positions: torch.Tensor
        self.register_buffer("positions", sinusoids(count, dim), persistent=False)

    def forward(self, clips: torch.Tensor) -> torch.Tensor:
        """(B, N, dim)."""
        tokens: torch.Tensor = self.patch_embeddings(clips) + self.positions
        return tokens


def sinusoids(count: int, dim: int) -> torch.Tensor:
    """Sines and cosines of each token's number (count, dim): Vaswani et al., NeurIPS 2017."""
    number = torch.arange(count, dtype=torch.float64)[:, None]
    rate = 10000.0 ** (-torch.arange(0, dim, 2, dtype=torch.float64) / dim)
    angles = number * rate
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1).float()


def _translate(tensors: Tensors) -> Tensors:
    found = split_qkv(renamed(tensors, _RULES))
    last = found.get("layernorm.weight", found.get("norm.weight"))
    if "fc_norm.weight" not in found and last is not None:
        found["fc_norm.weight"] = torch.ones_like(last)
        found["fc_norm.bias"] = torch.zeros_like(last)
    return found
