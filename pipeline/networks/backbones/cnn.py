"""The CNNs that turn a frame into a feature vector: torchvision's, without their classifier."""

import functools
from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
import torchvision
from torch import nn
from torchvision.transforms import v2

Name = Literal["resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "efficientnet_b5"]
NAMES: tuple[str, ...] = get_args(Name)


@dataclass(frozen=True)
class Transform:
    """What these weights expect of an image: short side resized, centre cropped, normalised.

    Attributes:
        resize_px: Length of the short side.
        crop_px: Side of the centre crop.
        interpolation: "bilinear" or "bicubic", with antialiasing.
        mean: Of the RGB channels, on the scale 0 to 1.
        std: Of the RGB channels, on the scale 0 to 1.
    """

    resize_px: int
    crop_px: int
    interpolation: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def cropped(self, crop_px: int | None) -> "Transform":
        """With another crop, and the resize before it scaled alike; itself where there is none."""
        if crop_px is None:
            return self
        resize_px = round(self.resize_px * crop_px / self.crop_px)
        return replace(self, resize_px=resize_px, crop_px=crop_px)

    def prepare(self, image: torch.Tensor) -> torch.Tensor:
        """The part before normalisation: (3, H, W) uint8 to (3, crop_px, crop_px) uint8."""
        resized = v2.functional.resize(
            image,
            [self.resize_px],
            interpolation=v2.InterpolationMode(self.interpolation),
            antialias=True,
        )
        cropped: torch.Tensor = v2.functional.center_crop(resized, [self.crop_px, self.crop_px])
        return cropped

    def normalise(self, images: torch.Tensor) -> torch.Tensor:
        """Images (B, 3, H, W) uint8 to float32 with the mean and scale of the training data."""
        mean = _per_channel(tuple(self.mean), images.device)
        std = _per_channel(tuple(self.std), images.device)
        return (images.float() / 255 - mean) / std


@functools.cache
def _per_channel(values: tuple[float, ...], device: torch.device) -> torch.Tensor:
    """(1, 3, 1, 1) on the device; kept, since a copy to a GPU waits for the step before."""
    with torch.inference_mode(False):
        return torch.tensor(values, device=device).view(1, 3, 1, 1)


def build_cnn(name: str) -> nn.Module:
    """A CNN with untrained weights: images (B, 3, H, W) float to features (B, D) float.

    D is 512 for ResNet-18 and 34, 2048 for the others: the average over the last feature map.

    Raises:
        ValueError: The name is none of NAMES.
    """
    if name not in NAMES:
        raise ValueError(f"unknown backbone {name!r}; allowed: {', '.join(NAMES)}")
    network: nn.Module = torchvision.models.get_model(name, weights=None)
    setattr(network, classifier_of(name), nn.Identity())
    return network


def classifier_of(name: str) -> str:
    """The name of the part that torchvision's network uses to classify ImageNet."""
    return "classifier" if name.startswith("efficientnet") else "fc"


def feature_size(name: str) -> int:
    """D, the length of the feature vector."""
    return 512 if name in ("resnet18", "resnet34") else 2048


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
