"""The frames of a wrong run, small enough to be part of the page.

data/frames is no dependency of the evaluate stage: a machine that has the features alone can
evaluate. The page shows frames where the containers lie in data/frames and are those that the
features were made from, and says so where they do not. So the page's bytes follow from the stage's
dependencies and from whether the frames are there, and from nothing else: two machines with
frames write the same page, two without them as well.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline import paths
from pipeline.errors import PipelineError
from pipeline.evaluate.error_analysis import WrongRun
from pipeline.frame_store import FrameFile

WIDTH_PX = 200
QUALITY = 80


@dataclass(frozen=True)
class Thumbnail:
    """One frame.

    Attributes:
        time_s: Its presentation time.
        source: A data URI of a JPEG.
    """

    time_s: float
    source: str


def thumbnails(
    run: WrongRun, features: Mapping[str, Any], folder: Path = paths.FRAMES
) -> list[Thumbnail]:
    """The first, middle and last frame of a run, each once, without lost ones.

    None where the frames are not there.

    Args:
        run: The frames in question.
        features: Attributes of the video's features, which say from which frames they were made.
        folder: Of the containers.
    """
    # Frames of clips are stored more densely than samples lie.
    every = int(features.get("stored_frames_per_sample", 1))
    samples = [every * moment for moment in sorted({run.start, run.middle, run.end - 1})]
    try:
        with FrameFile(folder / f"{run.video}.h5") as frames:
            if frames.attributes.get("fingerprint") != features.get("frames_fingerprint"):
                return []
            return [
                thumbnail(frames.image(sample), float(frames.time_s[sample]))
                for sample in samples
                if not frames.lost[sample]
            ]
    except PipelineError:  # no container, or one that cannot be read
        return []


def thumbnail(image: NDArray[np.uint8], time_s: float) -> Thumbnail:
    """An image (H, W, 3) uint8 RGB, made small."""
    height = max(1, round(image.shape[0] * WIDTH_PX / image.shape[1]))
    small = cv2.resize(image, (WIDTH_PX, height), interpolation=cv2.INTER_AREA)
    done, jpeg = cv2.imencode(
        ".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
    )
    assert done, "JPEG encoding of an 8-bit image cannot fail"
    source = "data:image/jpeg;base64," + base64.b64encode(jpeg.tobytes()).decode("ascii")
    return Thumbnail(time_s, source)
