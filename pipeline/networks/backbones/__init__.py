"""Backbones, images in and features out: their families, and who builds a given name."""

import torch

from pipeline.networks.backbones import efficientnet, resnet
from pipeline.networks.backbones.contract import Backbone, Family

FAMILIES: dict[str, Family] = {
    "resnet": resnet,
    "efficientnet": efficientnet,
}


def names() -> list[str]:
    """All values that backbone.name may have, family by family."""
    return [name for family in FAMILIES.values() for name in family.NAMES]


def family_of(name: str) -> Family:
    """The file that builds this name.

    Raises:
        ValueError: No family has it; lists all names.
    """
    for family in FAMILIES.values():
        if name in family.NAMES:
            return family
    raise ValueError(f"found {name!r}. Allowed: {', '.join(names())}")


def build_backbone(name: str) -> Backbone:
    """An untrained backbone, initialised from torch's random state.

    Raises:
        ValueError: No family has this name.
    """
    return family_of(name).build(name)


def resize_px(name: str, weights: str, crop_px: int | None) -> int:
    """The short side to which a backbone's images are resized before the crop.

    Frames that are stored smaller than this are enlarged. For checks before anything runs.

    Args:
        name: As in backbone.name.
        weights: As in backbone.weights. The transform that a file may bring is not read.
        crop_px: As in features.crop.

    Raises:
        ValueError: No family has this name.
    """
    published = family_of(name).published(name).get(weights.rpartition(".")[2])
    if published is not None:
        return published.transform.cropped(crop_px).resize_px
    with torch.device("meta"):  # no memory, no numbers
        return build_backbone(name).transform.cropped(crop_px).resize_px
