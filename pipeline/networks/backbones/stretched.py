"""Images that are resized without regard to their shape."""

from dataclasses import dataclass, field, replace

import torch
from torchvision.transforms import v2

from pipeline.networks.backbones.transform import Transform


@dataclass(frozen=True)
class Stretched(Transform):
    """What weights expect that were trained with images of one width and height.

    Attributes:
        resize_px: Height after the resize.
        width_px: Width after the resize.
    """

    width_px: int = field(kw_only=True)

    def cropped(self, crop_px: int | None) -> "Stretched":
        """With another crop and the resize before it scaled alike; unchanged for None."""
        if crop_px is None:
            return self
        scale = crop_px / self.crop_px
        return replace(
            self,
            resize_px=round(self.resize_px * scale),
            width_px=round(self.width_px * scale),
            crop_px=crop_px,
        )

    def prepare(self, image: torch.Tensor) -> torch.Tensor:
        """As Transform.prepare, but for the resize to exactly (resize_px, width_px)."""
        resized = v2.functional.resize(
            image,
            [self.resize_px, self.width_px],
            interpolation=v2.InterpolationMode(self.interpolation),
            antialias=True,
        )
        cropped: torch.Tensor = v2.functional.center_crop(resized, [self.crop_px, self.crop_px])
        return cropped if self.channels == "rgb" else cropped.flip(-3)
