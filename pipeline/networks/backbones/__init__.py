"""Backbones, images or clips in and features out: their families, and who builds a given name.

A network is named by one string, which stands in the headers of models and features:

    resnet50              the name that its family gives it
    timm/convnextv2_tiny  one that timm makes; hf/<repository or folder> is one of transformers
    pruned/resnet50-30    one that lost 30 % of its channels
    r3d_18@16             one that reads clips, here of 16 frames
    resnet50+densenet121  several that read images, their features side by side
    resnet50+densenet121:gate   the same, fused by one of fusion.FUSIONS
"""

import difflib
from types import ModuleType
from typing import cast

import torch

from pipeline.networks.backbones import (
    convnext,
    densenet,
    efficientnet,
    efficientnets,
    hf_models,
    hybrid,
    mnasnet,
    mobilenet,
    mvit,
    pixels,
    pruned,
    r2plus1d,
    regnet,
    resnet,
    resnext,
    s3d,
    shufflenet,
    slowfast,
    swin,
    swin3d,
    timesformer,
    timm_models,
    video_resnet,
    videomae,
    vit,
    vivit,
    vjepa2,
    x3d,
)
from pipeline.networks.backbones.contract import Backbone, ClipFamily, Family
from pipeline.networks.backbones.surgical import encoder_of

FAMILIES: dict[str, Family] = {
    "resnet": resnet,
    "efficientnet": efficientnet,
    "efficientnets": efficientnets,
    "resnext": resnext,
    "densenet": densenet,
    "regnet": regnet,
    "mobilenet": mobilenet,
    "shufflenet": shufflenet,
    "mnasnet": mnasnet,
    "convnext": convnext,
    "swin": swin,
    "vit": vit,
    "pixels": pixels,
}

CLIP_FAMILIES: dict[str, ClipFamily] = {
    "video_resnet": video_resnet,
    "s3d": s3d,
    "mvit": mvit,
    "swin3d": swin3d,
    "x3d": x3d,
    "slowfast": slowfast,
    "r2plus1d": r2plus1d,
    "videomae": videomae,
    "vivit": vivit,
    "timesformer": timesformer,
    "vjepa2": vjepa2,
}

OPEN_FAMILIES: dict[str, Family] = {
    "timm/": timm_models,
    "hf/": hf_models,
    "pruned/": pruned,
}
"""Families that build whatever follows their prefix, such as `timm/`."""


def names() -> list[str]:
    """All values that backbone.name may have, family by family; a prefix stands for many."""
    listed = [name for family in FAMILIES.values() for name in family.NAMES]
    listed += [name for family in CLIP_FAMILIES.values() for name in family.NAMES]
    return listed + [f"{prefix}<name>" for prefix in OPEN_FAMILIES]


def family_of(name: str) -> Family | ClipFamily:
    """The file that builds this name, with or without the length of its clips.

    Raises:
        ValueError: No family has it; offers the nearest names, or lists all.
    """
    plain = name.partition("@")[0]
    for prefix, open_family in OPEN_FAMILIES.items():
        if plain.startswith(prefix):
            return open_family
    for family in FAMILIES.values():
        if plain in family.NAMES:
            return family
    for clip_family in CLIP_FAMILIES.values():
        if plain in clip_family.NAMES:
            return clip_family
    near = difflib.get_close_matches(plain, names(), n=3)
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    raise ValueError(f"found {plain!r}.{hint} Allowed: {', '.join(names())}")


def modules_of(name: str) -> tuple[ModuleType, ...]:
    """The files that, with what they import, decide what a network of this name computes.

    Raises:
        ValueError: No family has this name.
    """
    if hybrid.is_hybrid(name):
        families = dict.fromkeys(family_of(part) for part in hybrid.parts_of(name)[0])
        return (hybrid, *(cast(ModuleType, family) for family in families))
    return (cast(ModuleType, family_of(name)),)


def reads_clips(name: str) -> bool:
    """Whether the networks of this name read clips, not images.

    Raises:
        ValueError: No family has this name.
    """
    return family_of(name) in CLIP_FAMILIES.values()


def libraries_of(name: str) -> tuple[str, ...]:
    """Packages beside torch and torchvision whose code decides what a network of this name gives.

    Raises:
        ValueError: No family has this name.
    """
    found = (getattr(module, "LIBRARIES", ()) for module in modules_of(name))
    return tuple(dict.fromkeys(library for libraries in found for library in libraries))


def build_backbone(name: str) -> Backbone:
    """An untrained backbone, initialised from torch's random state.

    Args:
        name: As described above.

    Raises:
        ValueError: No family has this name, it cannot read clips of this length, or networks
            cannot be fused.
    """
    if hybrid.is_hybrid(name):
        return hybrid.build(name, build_backbone)
    plain, _, frames = name.partition("@")
    if frames:
        return clip_family(plain).build(plain, int(frames))
    for family in (*FAMILIES.values(), *OPEN_FAMILIES.values()):
        if family is family_of(plain):
            return family.build(plain)
    raise ValueError(f"{plain} reads clips; say of how many frames, as in {plain}@16")


def clip_family(name: str) -> ClipFamily:
    """The file that builds networks of this name, which read clips.

    Raises:
        ValueError: No family of clips has it.
    """
    for family in CLIP_FAMILIES.values():
        if name in family.NAMES:
            return family
    raise ValueError(f"{name} reads single images, not clips")


def resize_px(name: str, weights: str, crop_px: int | None) -> int:
    """The short side to which a backbone's images are resized before the crop.

    Frames that are stored smaller than this are enlarged. For checks before anything runs.

    Args:
        name: As in the header of a backbone.
        weights: As in backbone.weights. The transform that a file may bring is not read.
        crop_px: As in features.crop.

    Raises:
        ValueError: No family has this name.
    """
    encoder, _ = encoder_of(weights)
    if encoder is not None:
        return encoder.transform.cropped(crop_px).resize_px
    published = family_of(name).published(name.partition("@")[0]).get(weights.rpartition(".")[2])
    if published is not None:
        return published.transform.cropped(crop_px).resize_px
    with torch.device("meta"):  # no memory, no numbers
        return build_backbone(name).transform.cropped(crop_px).resize_px
