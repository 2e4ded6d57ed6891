"""V-JEPA 2: a transformer over tubes of two frames, trained to predict what hidden ones mean.

Assran et al., "V-JEPA 2: Self-Supervised Video Models Enable Understanding, Prediction and
Planning", 2025 (arXiv 2506.09985). Layers of transformers.

Features are the mean over all tokens of the encoder, each normalised. Upstream reads them out with
an attentive pooler, which is trained for one data set and not published for most.
"""

from dataclasses import dataclass

from torch import nn

from pipeline.networks.backbones.clip_input import OfSize, check_length
from pipeline.networks.backbones.contract import Backbone, ClipSize, PublishedWeights, Tensors
from pipeline.networks.backbones.hugging_face import hub_weights, transformers_module
from pipeline.networks.backbones.tensor_names import Rules, renamed, split_qkv
from pipeline.networks.backbones.token_network import (
    MeanToken,
    as_map,
    blocks_of,
    first_output,
    pool_of,
    token_network,
)
from pipeline.networks.backbones.transform import Transform

NAMES: tuple[str, ...] = ("vjepa2_large", "vjepa2_huge", "vjepa2_giant")
LIBRARIES: tuple[str, ...] = ("transformers",)

_TUBELET = 2
_PATCH = 16
_TRANSFORM = Transform(
    resize_px=292,
    crop_px=256,
    interpolation="bilinear",
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
)


@dataclass(frozen=True)
class _Size:
    dim: int
    layers: int
    heads: int
    mlp_ratio: float
    repository: str


_SIZES = {
    "vjepa2_large": _Size(1024, 24, 16, 4.0, "facebook/vjepa2-vitl-fpc64-256"),
    "vjepa2_huge": _Size(1280, 32, 16, 4.0, "facebook/vjepa2-vith-fpc64-256"),
    "vjepa2_giant": _Size(1408, 40, 22, 48 / 11, "facebook/vjepa2-vitg-fpc64-256"),
}

# Of the files of transformers, and of upstream's own, in which blocks have timm's names.
_RULES: Rules = (
    (r"^(vjepa2\.)?encoder\.", ""),
    (r"^patch_embed\.proj\.", "embeddings.patch_embeddings.proj."),
    (r"^blocks\.", "layer."),
    (r"^norm\.", "layernorm."),
    (r"\.attn\.", ".attention."),
)


def build(name: str, frames: int) -> Backbone:
    """An untrained V-JEPA 2 encoder.

    Raises:
        ValueError: The number of frames is odd.
        PipelineError: transformers is not installed.
    """
    check_length(name, frames, least=_TUBELET, multiple_of=_TUBELET)
    size, crop_px = _SIZES[name], _TRANSFORM.crop_px
    config = transformers_module("vjepa2.configuration_vjepa2").VJEPA2Config(
        frames_per_clip=frames,
        crop_size=crop_px,
        hidden_size=size.dim,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        mlp_ratio=size.mlp_ratio,
        attn_implementation="sdpa",
    )
    parts = transformers_module("vjepa2.modeling_vjepa2")
    layers = [
        parts.VJEPA2Layer(
            config,
            hidden_size=size.dim,
            num_attention_heads=size.heads,
            mlp_ratio=size.mlp_ratio,
        )
        for _ in range(size.layers)
    ]
    network = token_network(
        OfSize(frames, crop_px),
        parts.VJEPA2Embeddings(config, hidden_size=size.dim),
        [first_output(layer) for layer in layers],
        layernorm=nn.LayerNorm(size.dim, eps=config.layer_norm_eps),
        mean=MeanToken(),
    )
    return Backbone(
        name=f"{name}@{frames}",
        network=network,
        dim=size.dim,
        transform=_TRANSFORM,
        blocks=lambda: blocks_of(network),
        pool=pool_of(network),
        classifier_keys=("predictor.", "vjepa2.predictor.", "pooler.", "classifier."),
        translate=_translate,
        maps=as_map(frames // _TUBELET, crop_px // _PATCH),
        clip_frames=frames,
    )


def published(name: str) -> dict[str, PublishedWeights]:
    """Trained without labels on a million hours of video and a million images."""
    return {"SELF_SUPERVISED": hub_weights(_SIZES[name].repository, _TRANSFORM)}


def clip_size(name: str) -> ClipSize:
    """Four frames per second, as in its last phase of training."""
    return ClipSize(frames=64, stride_s=1 / 4)


def _translate(tensors: Tensors) -> Tensors:
    return split_qkv(renamed(tensors, _RULES))
