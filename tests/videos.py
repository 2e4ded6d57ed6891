"""Tiny videos whose frames carry their own number, so that errors of order show."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

BITS = 10
CELL = 16


def numbered_image(number: int, height: int = 64) -> np.ndarray:
    """A row of black and white cells: the frame's number in binary, on grey."""
    image = np.full((height, BITS * CELL, 3), 128, dtype=np.uint8)
    for bit in range(BITS):
        image[8:-8, bit * CELL : (bit + 1) * CELL] = 255 if number >> bit & 1 else 0
    return image


def number_of(image: np.ndarray) -> int:
    """The number that a decoded (and perhaps resized) image carries."""
    height, width = image.shape[:2]
    row = image[height // 2].mean(axis=1)
    return sum(1 << bit for bit in range(BITS) if row[int((bit + 0.5) * width / BITS)] > 128)


def write_video(
    path: Path,
    frames: int,
    fps: Fraction | int = 25,
    ticks: Sequence[int] | None = None,
    gop: int = 12,
    x264: str = "",
    faststart: bool = False,
    altered_from: int | None = None,
) -> None:
    """An H.264 video with B-frames; `ticks` are presentation times in 1 / fps seconds.

    From frame `altered_from` on, the pictures carry other numbers.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(
        str(path), "w", options={"movflags": "faststart"} if faststart else {}
    ) as container:
        options = {"bf": "2", "g": str(gop), "preset": "veryfast", "threads": "1"}
        if x264:
            options["x264-params"] = x264
        stream = container.add_stream("libx264", rate=Fraction(fps), options=options)
        stream.width, stream.height, stream.pix_fmt = BITS * CELL, 64, "yuv420p"
        stream.time_base = 1 / Fraction(fps)
        for number in range(frames):
            altered = altered_from is not None and number >= altered_from
            image = numbered_image(number ^ 0b1111111111 if altered else number)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts = ticks[number] if ticks else number
            frame.time_base = 1 / Fraction(fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
