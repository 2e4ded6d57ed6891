"""The black border around an endoscope's view: one stable box per video."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

# A border is black up to the noise of the codec; the darkest tissue in view is brighter in at
# least one of the frames that are looked at.
_BLACK = 24
# A row or column belongs to the view when this share of it is ever brighter than black.
_SHARE = 0.05


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels of the upright frame: [top, bottom) x [left, right)."""

    top: int
    bottom: int
    left: int
    right: int

    def cut(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The part of an image (H, W, 3) inside the box, without a copy."""
        return image[self.top : self.bottom, self.left : self.right]


def view_box(images: NDArray[np.uint8]) -> Box:
    """The box of the view, even-sized, from frames spread over a video.

    The brightest value of each pixel over time decides, so that smoke or a dark moment does not
    move the box.

    Args:
        images: (N, H, W, 3) uint8.

    Returns:
        The whole frame when there is no view to be found.
    """
    height, width = images.shape[1:3]
    bright = images.max(axis=(0, 3)) > _BLACK
    rows = np.flatnonzero(bright.mean(axis=1) > _SHARE)
    columns = np.flatnonzero(bright.mean(axis=0) > _SHARE)
    if len(rows) < 2 or len(columns) < 2:
        return Box(0, height, 0, width)
    top, left = int(rows[0]), int(columns[0])
    bottom, right = int(rows[-1]) + 1, int(columns[-1]) + 1
    return Box(top, bottom - (bottom - top) % 2, left, right - (right - left) % 2)


def resize_short_side(image: NDArray[np.uint8], short_side: int) -> NDArray[np.uint8]:
    """An image (H, W, 3) scaled so that its shorter side has this length in pixels.

    By area when it shrinks, which neither aliases nor blurs; bicubic when it grows.
    """
    height, width = image.shape[:2]
    scale = short_side / min(height, width)
    if scale == 1:
        return image
    target = (max(1, round(width * scale)), max(1, round(height * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, target, interpolation=method), dtype=np.uint8)
