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

    def turned_back(self, quarter_turns: int, height: int, width: int) -> "Box":
        """This box in the frame as it is coded, before it was turned upright.

        Args:
            quarter_turns: By which the coded frame was turned, against the clock.
            height: Of the upright frame.
            width: Of the upright frame.
        """
        box = self
        for _ in range(quarter_turns):
            box = Box(box.left, box.right, height - box.bottom, height - box.top)
            height, width = width, height
        return box


def view_box(images: NDArray[np.uint8]) -> Box:
    """The box of the view, with even sides and corners, from frames of all parts of a video.

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
    # Colour is coded for two by two pixels: on even corners it can be cut without shifting it.
    top, left = int(rows[0]) // 2 * 2, int(columns[0]) // 2 * 2
    bottom, right = int(rows[-1]) + 1, int(columns[-1]) + 1
    return Box(top, bottom - bottom % 2, left, right - right % 2)


def target_size(height: int, width: int, short_side: int) -> tuple[int, int]:
    """Height and width once the shorter side has this length in pixels."""
    scale = short_side / min(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def resize_short_side(image: NDArray[np.uint8], short_side: int) -> NDArray[np.uint8]:
    """An image (H, W, 3) scaled so that its shorter side has this length in pixels.

    By area when it shrinks, which neither aliases nor blurs; bicubic when it grows.
    """
    height, width = image.shape[:2]
    target = target_size(height, width, short_side)
    if target == (height, width):
        return image
    method = cv2.INTER_AREA if target[0] < height else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, target[::-1], interpolation=method), dtype=np.uint8)
