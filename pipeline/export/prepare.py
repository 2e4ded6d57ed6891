"""Frames to what an exported backbone takes, without torch."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def prepared(image: NDArray[np.uint8], transform: Mapping[str, Any]) -> NDArray[np.uint8]:
    """A frame resized and cropped, (3, crop_px, crop_px) uint8.

    The same as Transform.prepare but for the resize, which is Pillow's: torchvision's follows it,
    and rounds some pixels by one grey level otherwise.

    Args:
        image: (H, W, 3) uint8 RGB.
        transform: Metadata of backbone.onnx.
    """
    height, width = _resized(image, transform)
    if image.shape[:2] != (height, width):
        how = Image.Resampling[transform["interpolation"].upper()]
        image = np.asarray(Image.fromarray(image).resize((width, height), how))
    side = transform["crop_px"]
    top, left = round((height - side) / 2), round((width - side) / 2)
    cropped = image[top : top + side, left : left + side]
    if transform["channels"] == "bgr":
        cropped = cropped[..., ::-1]
    return np.ascontiguousarray(cropped.transpose(2, 0, 1))


def _resized(image: NDArray[np.uint8], transform: Mapping[str, Any]) -> tuple[int, int]:
    """Height and width after the resize."""
    height, width = image.shape[:2]
    short = transform["resize_px"]
    if "width_px" in transform:
        return short, transform["width_px"]
    if height <= width:
        return short, int(short * width / height)
    return int(short * height / width), short
