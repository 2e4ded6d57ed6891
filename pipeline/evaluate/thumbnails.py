"""The frames of a wrong run, small enough to sit in the page."""

import base64
from dataclasses import dataclass
from pathlib import Path

import cv2

from pipeline.evaluate.error_analysis import WrongRun
from pipeline.frame_store import FrameFile

FRAMES = Path("data/frames")
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


def thumbnails(run: WrongRun, folder: Path = FRAMES) -> list[Thumbnail]:
    """The first, middle and last frame of a run, each once, but for lost ones."""
    samples = sorted({run.start, (run.start + run.end - 1) // 2, run.end - 1})
    with FrameFile(folder / f"{run.video}.h5") as frames:
        return [
            Thumbnail(float(frames.time_s[sample]), _small(frames, sample))
            for sample in samples
            if not frames.lost[sample]
        ]


def _small(frames: FrameFile, sample: int) -> str:
    image = frames.image(sample)
    height = max(1, round(image.shape[0] * WIDTH_PX / image.shape[1]))
    small = cv2.resize(image, (WIDTH_PX, height), interpolation=cv2.INTER_AREA)
    done, jpeg = cv2.imencode(
        ".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
    )
    assert done, "JPEG encoding of an 8-bit image cannot fail"
    return "data:image/jpeg;base64," + base64.b64encode(jpeg.tobytes()).decode("ascii")
