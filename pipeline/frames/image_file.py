"""One image file to the JPEG that is kept: what decides it, so that its code names the result."""

import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from pipeline.errors import PipelineError
from pipeline.frames.crop import view_box
from pipeline.frames.params import FramesParams
from pipeline.frames.picture import Picture, picture_of


def picture_in(path: Path, params: FramesParams) -> Picture:
    """The picture of an image file, cut and shrunk as frames of videos are.

    Raises:
        PipelineError: The file is damaged or holds no picture.
    """
    image = read_image(path)
    box = view_box(image[None]) if params.crop_borders else None
    return picture_of(image, box, params.short_side, params.quality)


def read_image(path: Path) -> NDArray[np.uint8]:
    """An image (H, W, 3) uint8 RGB, upright as its EXIF says.

    Grey becomes three equal channels, transparency is dropped, and of 16 bits the upper 8 are kept.

    Raises:
        PipelineError: The file is damaged, or its pixels are neither of 8 nor of 16 bits.
    """
    try:
        with warnings.catch_warnings():
            # Slides of microscopes are large, and no attack.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as opened:
                image = ImageOps.exif_transpose(opened)
                image.load()
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError) as error:
        raise PipelineError(f"cannot be decoded ({error})") from None
    if image.mode == "F":
        raise PipelineError("holds fractions, expected 8 or 16 bits per channel")
    if image.mode.startswith("I"):
        deep = np.asarray(image).astype(np.int64)
        if deep.min() < 0 or deep.max() > 0xFFFF:
            raise PipelineError(f"values up to {deep.max()}, expected 8 or 16 bits per channel")
        return np.repeat((deep >> 8).astype(np.uint8)[:, :, None], 3, axis=2)
    return np.asarray(image.convert("RGB"), dtype=np.uint8)
