"""ViViT: a transformer over all tubes of two frames at once, with a class token.

Arnab et al., "ViViT: A Video Vision Transformer", ICCV 2021, model 1. Layers of transformers.
Pixels are scaled to -1 to 1, as in the training; the published preprocessor does so and then
normalises once more.
"""

from torch import nn

from pipeline.networks.backbones.clip_input import OfSize, check_length
from pipeline.networks.backbones.contract import Backbone, ClipSize, PublishedWeights, Tensors
from pipeline.networks.backbones.hugging_face import hub_weights, transformers_module
from pipeline.networks.backbones.tensor_names import Rules, renamed
from pipeline.networks.backbones.token_network import as_map, blocks_of, pool_of, token_network
from pipeline.networks.backbones.tokens import FirstToken
from pipeline.networks.backbones.transform import Transform

NAMES: tuple[str, ...] = ("vivit_b",)
LIBRARIES: tuple[str, ...] = ("transformers",)

_TUBELET = 2
_PATCH = 16
_DIM, _LAYERS, _HEADS = 768, 12, 12
_TRANSFORM = Transform(
    resize_px=224,
    crop_px=224,
    interpolation="bilinear",
    mean=(0.5, 0.5, 0.5),
    std=(0.5, 0.5, 0.5),
)

# Of the published file, whose layers have the names of older versions of transformers.
_RULES: Rules = (
    (r"^vivit\.", ""),
    (r"^(encoder\.layer|layers)\.", "layer."),
    (r"\.attention\.attention\.query\.", ".attention.q_proj."),
    (r"\.attention\.attention\.key\.", ".attention.k_proj."),
    (r"\.attention\.attention\.value\.", ".attention.v_proj."),
    (r"\.attention\.output\.dense\.", ".attention.o_proj."),
    (r"\.intermediate\.dense\.", ".mlp.fc1."),
    (r"\.output\.dense\.", ".mlp.fc2."),
)


def build(name: str, frames: int) -> Backbone:
    """An untrained ViViT; its features are the class token, normalised.

    Raises:
        ValueError: The number of frames is odd.
        PipelineError: transformers is not installed.
    """
    check_length(name, frames, least=_TUBELET, multiple_of=_TUBELET)
    crop_px = _TRANSFORM.crop_px
    config = transformers_module("vivit.configuration_vivit").VivitConfig(
        num_frames=frames,
        image_size=crop_px,
        tubelet_size=(_TUBELET, _PATCH, _PATCH),
        hidden_size=_DIM,
        num_hidden_layers=_LAYERS,
        num_attention_heads=_HEADS,
        intermediate_size=4 * _DIM,
        attn_implementation="sdpa",
    )
    parts = transformers_module("vivit.modeling_vivit")
    network = token_network(
        OfSize(frames, crop_px),
        parts.VivitEmbeddings(config),
        [parts.VivitLayer(config) for _ in range(_LAYERS)],
        class_token=FirstToken(),
        layernorm=nn.LayerNorm(_DIM, eps=config.layer_norm_eps),
    )
    return Backbone(
        name=f"{name}@{frames}",
        network=network,
        dim=_DIM,
        transform=_TRANSFORM,
        blocks=lambda: blocks_of(network),
        pool=pool_of(network),
        classifier_keys=("classifier.", "pooler."),
        translate=_translate,
        maps=as_map(frames // _TUBELET, crop_px // _PATCH, first=1),
        clip_frames=frames,
    )


def published(name: str) -> dict[str, PublishedWeights]:
    """Trained on Kinetics-400, for clips of 32 frames."""
    # The file without pickles is a proposal to that repository.
    weights = hub_weights("google/vivit-b-16x2-kinetics400", _TRANSFORM, revision="refs/pr/3")
    return {"KINETICS400": weights}


def clip_size(name: str) -> ClipSize:
    """Every second frame of 25 per second."""
    return ClipSize(frames=32, stride_s=2 / 25)


def _translate(tensors: Tensors) -> Tensors:
    return renamed(tensors, _RULES)
