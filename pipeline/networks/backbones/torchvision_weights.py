"""Weights that torchvision publishes, for the families that it builds."""

from functools import partial

import torchvision

from pipeline.networks.backbones.contract import PublishedWeights
from pipeline.networks.backbones.transform import Transform


def torchvision_weights(name: str) -> dict[str, PublishedWeights]:
    """All weights of an architecture by their names, DEFAULT among them; nothing is fetched."""
    available = torchvision.models.get_model_weights(name)
    return {
        label: PublishedWeights(
            url=entry.url,
            transform=transform_of(entry.transforms()),
            fetch=partial(entry.get_state_dict, progress=True, check_hash=True),
        )
        for label, entry in available.__members__.items()
    }


def transform_of(preset: object) -> Transform:
    """Our Transform from the preset that belongs to a torchvision weight."""
    values = vars(preset)
    return Transform(
        resize_px=values["resize_size"][0],
        crop_px=values["crop_size"][0],
        interpolation=values["interpolation"].value,
        mean=tuple(values["mean"]),
        std=tuple(values["std"]),
    )
