"""Backbones, images in and features out: their families, and who builds a given name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.networks.backbones import efficientnet, resnet

if TYPE_CHECKING:
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

    Frames should be stored no smaller than this. For checks before anything runs: it imports torch
    but builds no network.

    Args:
        name: As in backbone.name.
        weights: As in backbone.weights. A file may bring another transform, which is not read here.
        crop_px: As in features.crop.

    Raises:
        ValueError: No family has this name.
    """
    published = family_of(name).published(name)
    found = published.get(weights.rpartition(".")[2], next(iter(published.values())))
    return found.transform.cropped(crop_px).resize_px
