"""Test-time augmentation: the features of a frame are means over several views of it."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torchvision.transforms import v2

from pipeline.errors import PipelineError
from pipeline.networks.backbones.transform import Transform

NUM_VIEWS = {"none": 1, "flip": 2, "five_crop": 5}
"""Forward passes per sample, for each value of features.tta."""


@dataclass(frozen=True, kw_only=True)
class Mirrored(Transform):
    """What another transform shows, mirrored left to right.

    Attributes:
        of: The other transform.
    """

    of: Transform

    def prepare(self, image: torch.Tensor) -> torch.Tensor:
        """As Transform.prepare."""
        return self.of.prepare(image).flip(-1)


@dataclass(frozen=True, kw_only=True)
class CroppedElsewhere(Transform):
    """One of the five crops of the resized frame, which is not square: its corners, its centre.

    Attributes:
        number: Of the crop, in the order of torchvision's FiveCrop.
    """

    number: int

    def prepare(self, image: torch.Tensor) -> torch.Tensor:
        """As Transform.prepare."""
        resized = v2.functional.resize(
            image,
            [self.resize_px],
            interpolation=v2.InterpolationMode(self.interpolation),
            antialias=True,
        )
        crops = v2.functional.five_crop(resized, [self.crop_px, self.crop_px])
        cropped: torch.Tensor = crops[self.number]
        return cropped if self.channels == "rgb" else cropped.flip(-3)


def views(transform: Transform, tta: str) -> tuple[Transform, ...]:
    """The ways in which each frame is shown to the network.

    Args:
        transform: After the crop.
        tta: As in params.yaml.

    Raises:
        PipelineError: The transform has no five crops.
    """
    # asdict would turn the values of a transform into dictionaries, too.
    values: dict[str, Any] = {f.name: getattr(transform, f.name) for f in fields(Transform)}
    match tta:
        case "flip":
            return (transform, Mirrored(**values, of=transform))
        case "five_crop":
            # Other kinds of transform do not cut a square out of a larger frame.
            if type(transform) is not Transform or transform.crop_px > transform.resize_px:
                raise PipelineError(
                    "params.yaml: features.tta: found five_crop, but this backbone sees the whole "
                    "frame, which leaves no corners to crop. Allowed for it: none, flip."
                )
            numbers = range(NUM_VIEWS[tta])
            return tuple(CroppedElsewhere(**values, number=number) for number in numbers)
    return (transform,)


def mean(features: Iterable[NDArray[np.float32]]) -> NDArray[np.float32]:
    """The mean, (T, D) float32, of the features (T, D) of each view, at least one."""
    total, *others = features
    for more in others:
        total = total + more
    return total / np.float32(1 + len(others)) if others else total
