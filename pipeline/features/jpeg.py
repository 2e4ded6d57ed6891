"""JPEG files to pixels, on the processor."""

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import PipelineError


def decoded(jpeg: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """An image (H, W, 3) uint8 RGB from the bytes of a JPEG file, (bytes,).

    Raises:
        PipelineError: It is none.
    """
    image = cv2.imdecode(jpeg, cv2.IMREAD_COLOR_RGB)
    if image is None:
        raise PipelineError(
            "a frame is not a readable JPEG. Remove this file and run `dvc repro frames`."
        )
    return np.asarray(image, dtype=np.uint8)
