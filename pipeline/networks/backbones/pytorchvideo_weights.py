"""Weights that PyTorchVideo publishes."""

from functools import partial

import torch

from pipeline.networks.backbones.contract import PublishedWeights, Tensors
from pipeline.networks.backbones.transform import Transform

_ROOT = "https://dl.fbaipublicfiles.com/pytorchvideo/model_zoo/kinetics"


def kinetics_weights(file: str, transform: Transform) -> dict[str, PublishedWeights]:
    """The one file of an architecture, trained on Kinetics-400; nothing is fetched.

    Args:
        file: Its name.
        transform: Of its training.
    """
    url = f"{_ROOT}/{file}"
    weights = PublishedWeights(url=url, transform=transform, fetch=partial(_fetched, url))
    return {"KINETICS400": weights}


def transform_of(resize_px: int, crop_px: int) -> Transform:
    """Mean and scale of all these networks, with the sizes of one of them."""
    return Transform(
        resize_px=resize_px,
        crop_px=crop_px,
        interpolation="bilinear",
        mean=(0.45, 0.45, 0.45),
        std=(0.225, 0.225, 0.225),
    )


def _fetched(url: str) -> Tensors:
    # The names of these files hold no hash. Names and shapes of the tensors are compared later.
    content = torch.hub.load_state_dict_from_url(url, map_location="cpu", weights_only=True)
    tensors: Tensors = content["model_state"]
    return tensors
