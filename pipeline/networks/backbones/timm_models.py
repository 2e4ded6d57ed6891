"""The image models of timm, by the name that timm gives them: `timm/<name>`.

Features are what timm's models hand to their classifier: `forward_head(forward_features(images),
pre_logits=True)`. Only DINOv3 departs from timm's default, an average over the patches: its authors
take the class token, and so does this family.

ViT (DINOv2, MAE and others), EVA-02, DINOv3, ConvNeXt, MetaFormer, PVT v2 and ResNet are cut into
blocks (timm_blocks.py); any other model is one block, which strategies train as a whole, and has no
map. ViTs take images of all sizes that patches fill; position embeddings are interpolated.
"""

import difflib
import math
import sys
from collections.abc import Mapping
from functools import partial
from typing import Any

import torch

from pipeline.networks.backbones.contract import Backbone, PublishedWeights, Tensors
from pipeline.networks.backbones.extra import library
from pipeline.networks.backbones.names import renamed
from pipeline.networks.backbones.stretched import Stretched
from pipeline.networks.backbones.timm_blocks import cut
from pipeline.networks.backbones.timm_variants import VARIANTS
from pipeline.networks.backbones.transform import Transform

LIBRARIES = ("timm",)
PREFIX = "timm/"
NAMES: tuple[str, ...] = (
    "timm/vit_small_patch16_224",
    "timm/vit_small_patch14_dinov2",
    "timm/vit_base_patch14_dinov2",
    "timm/vit_small_patch16_dinov3",
    "timm/eva02_tiny_patch14_224",
    "timm/convnextv2_atto",
    "timm/convnextv2_tiny",
    "timm/caformer_s18",
    "timm/pvt_v2_b2",
)

_CLASSIFIERS = ("head.", "fc.", "classifier.")
# Modules of timm whose networks take images of other sizes if they are told so when they are made.
_RESIZABLE = ["vision_transformer", "eva"]


def build(name: str) -> Backbone:
    """An untrained model of timm.

    Raises:
        PipelineError: timm is not installed.
        ValueError: timm has no such model, or prepares images in a way that is not known here.
    """
    made = _made(name)
    dim = made.head_hidden_size
    transform = _transform(name, made.pretrained_cfg)
    side = _architecture(name)[1].get("img_size")
    parts = cut(made)
    return Backbone(
        name=name,
        network=parts.network,
        dim=dim,
        transform=transform.cropped(side),
        blocks=parts.blocks,
        pool=parts.pool,
        classifier_keys=_CLASSIFIERS,
        translate=partial(_translated, name, parts.names),
        fold=parts.fold,
        maps=parts.maps,
    )


def published(name: str) -> dict[str, PublishedWeights]:
    """The weights that timm lists, by their tags; its default first, and again as DEFAULT.

    Raises:
        PipelineError: timm is not installed.
        ValueError: As of `build`.
    """
    timm = library("timm", "timm")
    plain, settings = _architecture(name)
    if settings:
        return {}
    first = timm.models.get_pretrained_cfg(plain)
    listed = timm.list_models(f"{plain}.*", include_tags=True)
    tags = sorted((name.partition(".")[2] for name in listed), key=lambda tag: tag != first.tag)
    configs = {tag: timm.models.get_pretrained_cfg(f"{plain}.{tag}") for tag in tags}
    found = {
        tag: PublishedWeights(
            url=_url(config),
            transform=_transform(name, config.to_dict()),
            fetch=partial(_fetch, name, tag),
        )
        for tag, config in configs.items()
        if config.has_weights
    }
    if found:
        found["DEFAULT"] = next(iter(found.values()))
    return found


def _architecture(name: str) -> tuple[str, Mapping[str, Any]]:
    """The name of timm's model, and what makes it differ from timm's.

    Raises:
        ValueError: timm has no such model; offers the nearest.
    """
    timm = library("timm", "timm")
    plain, _, tag = name.removeprefix(PREFIX).partition(".")
    if tag:
        raise ValueError(
            f"found {name}. Write {PREFIX}{plain}, and {tag} as backbone.weights: the same network "
            "can have other weights"
        )
    if plain in VARIANTS:
        return VARIANTS[plain]
    if not timm.is_model(plain):
        near = difflib.get_close_matches(plain, [*timm.list_models(), *VARIANTS], n=3)
        hint = f" Did you mean {' or '.join(PREFIX + other for other in near)}?" if near else ""
        raise ValueError(f"found {name}, which timm {timm.__version__} does not have.{hint}")
    return plain, {}


def _made(name: str, tag: str | None = None) -> Any:
    """A model of timm without classifier; with the weights of a tag where one is given."""
    timm = library("timm", "timm")
    plain, settings = _architecture(name)
    settings = dict(settings)
    if timm.models.is_model_in_modules(plain, _RESIZABLE):
        settings["dynamic_img_size"] = True
    if "dinov3" in plain:
        settings["global_pool"] = "token"
    tagged = plain if tag is None else f"{plain}.{tag}"
    return timm.create_model(tagged, pretrained=tag is not None, num_classes=0, **settings)


def _fetch(name: str, tag: str) -> Tensors:
    try:
        return dict(_made(name, tag).state_dict())
    except Exception as error:  # of half a dozen libraries
        raise OSError(str(error).splitlines()[0]) from error


def _url(config: Any) -> str:
    if config.hf_hub_id:
        file = config.hf_hub_filename or "model.safetensors"
        return f"https://huggingface.co/{config.hf_hub_id}/resolve/main/{file}"
    return str(config.url)


def _transform(name: str, config: Mapping[str, Any]) -> Transform:
    """The way timm prepares images for evaluation (timm.data.transforms_imagenet_eval).

    Raises:
        ValueError: It is neither a crop nor a stretch of the whole image.
    """
    found = library("timm.data", "timm").resolve_data_config(pretrained_cfg=dict(config))
    crop_px = found["input_size"][-1]
    resize_px = math.floor(crop_px / found["crop_pct"])
    rest = (resize_px, crop_px, found["interpolation"], tuple(found["mean"]), tuple(found["std"]))
    match found["crop_mode"]:
        case "center":
            return Transform(*rest)
        case "squash":
            return Stretched(*rest, width_px=resize_px)
        case other:
            raise ValueError(
                f"found {name}, for which timm prepares images with crop_mode {other}, which is "
                "not supported. Supported: center, squash"
            )


def _translated(name: str, names: Mapping[str, str], tensors: Tensors) -> Tensors:
    """Tensors under timm's names, or under those of a model's authors, to the names of `network`.

    Args:
        name: Of the backbone.
        names: What each tensor is called in the network, by its name in timm.
        tensors: Of a file.
    """
    plain = renamed({ours: theirs for theirs, ours in names.items()}, tensors)
    if not names.keys() <= plain.keys():
        plain = _converted(name, plain, names)
    return renamed(names, plain)


def _converted(name: str, tensors: Tensors, names: Mapping[str, str]) -> Tensors:
    """What timm itself does to the files of a model's authors when it converts them."""
    with torch.device("meta"):
        made = _made(name)
    convert = getattr(sys.modules[type(made).__module__], "checkpoint_filter_fn", None)
    if convert is None:
        return tensors
    # Converters know the classifiers of their authors, not those of others.
    kept = {k: t for k, t in tensors.items() if k in names or not k.startswith(_CLASSIFIERS)}
    try:
        return dict(convert(kept, made))
    except (KeyError, RuntimeError, AttributeError):
        return tensors  # of another network, which whoever compares names will say
