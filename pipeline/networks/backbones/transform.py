"""What a backbone's weights expect of an image."""

import functools
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torchvision.transforms import v2


@dataclass(frozen=True)
class Transform:
    """What these weights expect of an image: short side resized, centre cropped, normalised.

    Attributes:
        resize_px: Length of the short side.
        crop_px: Side of the centre crop.
        interpolation: "bilinear" or "bicubic", with antialiasing.
        mean: Of each channel in the order of `channels`, on the scale 0 to 1.
        std: Of each channel in the order of `channels`, on the scale 0 to 1.
        channels: The order that the network was trained with, "rgb" or "bgr".
    """

    resize_px: int
    crop_px: int
    interpolation: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    channels: Literal["rgb", "bgr"] = "rgb"

    def cropped(self, crop_px: int | None) -> "Transform":
        """With another crop and the resize before it scaled alike; unchanged for None."""
        if crop_px is None:
            return self
        resize_px = round(self.resize_px * crop_px / self.crop_px)
        return replace(self, resize_px=resize_px, crop_px=crop_px)

    def prepare(self, image: torch.Tensor) -> torch.Tensor:
        """The part before normalisation.

        Args:
            image: (..., 3, H, W) uint8 RGB.

        Returns:
            (..., 3, crop_px, crop_px) uint8 in the order of `channels`.
        """
        resized = v2.functional.resize(
            image,
            [self.resize_px],
            interpolation=v2.InterpolationMode(self.interpolation),
            antialias=True,
        )
        cropped: torch.Tensor = v2.functional.center_crop(resized, [self.crop_px, self.crop_px])
        return cropped if self.channels == "rgb" else cropped.flip(-3)

    def normalise(self, images: torch.Tensor) -> torch.Tensor:
        """Prepared images (B, 3, H, W) uint8 to float32 with the mean and scale of the training."""
        mean = _per_channel(tuple(self.mean), images.device)
        std = _per_channel(tuple(self.std), images.device)
        return (images.float() / 255 - mean) / std


@functools.cache
def _per_channel(values: tuple[float, ...], device: torch.device) -> torch.Tensor:
    """(1, 3, 1, 1) on the device; kept, since a copy to a GPU waits for the step before."""
    with torch.inference_mode(False):
        return torch.tensor(values, device=device).view(1, 3, 1, 1)
