"""Random variants of a training frame, drawn from a seed; never for evaluation."""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.backbone.params_finetune import AugmentParams

Image = NDArray[np.uint8]

# As torchvision's RandomResizedCrop, RandomErasing.
_ASPECT = (3 / 4, 4 / 3)
_ERASED_AREA = (0.02, 0.33)
_ERASED_ASPECT = (0.3, 3.3)
# ITU-R 601, as every library's grey.
_GREY = np.array([0.299, 0.587, 0.114])
_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])


def augment(
    image: Image, seed: int, params: AugmentParams, crop_px: int, mean: tuple[float, float, float]
) -> Image:
    """A random crop of the frame, flipped, turned, recoloured and partly erased.

    OpenCV does each step for the whole image and without Python's lock, so that threads scale.

    Args:
        image: (H, W, 3) uint8 RGB.
        seed: The same seed, the same result.
        params: How much of what.
        crop_px: Side of the result.
        mean: The RGB that normalises to zero, on the scale 0 to 1: what erased pixels get.

    Returns:
        (crop_px, crop_px, 3) uint8 RGB.
    """
    # Everything is drawn before anything is used, so that one setting does not shift another.
    generator = np.random.default_rng(seed)
    area = generator.uniform(params.smallest_crop, 1)
    aspect = math.exp(generator.uniform(math.log(_ASPECT[0]), math.log(_ASPECT[1])))
    across, down, flip, erase = generator.random(4)
    angle = generator.uniform(-1, 1) * params.rotation_deg
    colours = generator.uniform(-1, 1, 4)
    hole = generator.random(4)

    crop = _random_crop(image, area, aspect, across, down)
    shrinks = min(crop.shape[:2]) > crop_px
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR  # area: without aliasing
    image = cv2.resize(crop, (crop_px, crop_px), interpolation=method)  # type: ignore[assignment]
    if flip < params.flip:
        image = cv2.flip(image, 1)  # type: ignore[assignment]
    if angle:
        centre = (crop_px - 1) / 2
        turn = cv2.getRotationMatrix2D((centre, centre), angle, 1)
        # Mirrored at the border: black corners would tell the network that the frame was turned.
        image = cv2.warpAffine(image, turn, (crop_px, crop_px), borderMode=cv2.BORDER_REFLECT_101)  # type: ignore[assignment]
    if any((params.brightness, params.contrast, params.saturation, params.hue)):
        image = _recolour(image, colours, params)
    if erase < params.erasing:
        image = _erase(image, hole, mean)
    return np.ascontiguousarray(image)


def _random_crop(image: Image, area: float, aspect: float, across: float, down: float) -> Image:
    height, width = image.shape[:2]
    w = math.sqrt(area * height * width * aspect)
    h = math.sqrt(area * height * width / aspect)
    # A wide frame has no squarish part of its whole area: the largest one that it has.
    fit = min(1, width / w, height / h)
    w, h = max(1, round(w * fit)), max(1, round(h * fit))
    left, top = int(across * (width - w + 1)), int(down * (height - h + 1))
    return image[top : top + h, left : left + w]


def _recolour(image: Image, drawn: NDArray[np.float64], params: AugmentParams) -> Image:
    """Brightness, contrast, saturation and hue as one linear map of the colours."""
    brightness, contrast, saturation = (
        1 + drawn[i] * amount
        for i, amount in enumerate((params.brightness, params.contrast, params.saturation))
    )
    turn = 2 * math.pi * drawn[3] * params.hue
    rotation = np.eye(3)
    rotation[1:, 1:] = [[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]]
    colour = np.linalg.inv(_YIQ) @ rotation @ _YIQ
    colour = (saturation * np.eye(3) + (1 - saturation) * np.outer(np.ones(3), _GREY)) @ colour
    grey = float(_GREY @ np.array(cv2.mean(image)[:3]))
    offset = (1 - contrast) * grey * brightness
    mapped = np.c_[brightness * contrast * colour, np.full(3, offset)]
    return cv2.transform(image, mapped)  # type: ignore[return-value]  # saturates at 0 and 255


def _erase(image: Image, drawn: NDArray[np.float64], mean: tuple[float, float, float]) -> Image:
    side = image.shape[0]
    area = (_ERASED_AREA[0] + drawn[0] * (_ERASED_AREA[1] - _ERASED_AREA[0])) * side * side
    low, high = (math.log(ratio) for ratio in _ERASED_ASPECT)
    aspect = math.exp(low + drawn[1] * (high - low))
    h, w = (min(side, round(math.sqrt(area * ratio))) for ratio in (aspect, 1 / aspect))
    top, left = int(drawn[2] * (side - h + 1)), int(drawn[3] * (side - w + 1))
    erased = image.copy()
    erased[top : top + h, left : left + w] = [round(255 * value) for value in mean]
    return erased
