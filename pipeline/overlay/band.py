"""The band along the lower edge of a picture: phase, time in it, confidence and all phases."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from pipeline.drawing.colours import UNLABELLED, class_colours
from pipeline.drawing.svg_ribbons import clock
from pipeline.overlay.copying import Picture
from pipeline.segments import Segments, segments
from pipeline.view.confidence import confidence
from pipeline.view.inputs import Shown

# Shares of the picture's height, no less than so many pixels.
_HEIGHT, _LEAST_PX = 0.115, 44
_BACK = (12, 16, 22)
_OPACITY = 0.72


class Band:
    """Draws a video's prediction into its pictures.

    Args:
        shown: The video with its prediction.
    """

    def __init__(self, shown: Shown) -> None:
        self._shown = shown
        self._runs: Segments = segments(shown.prediction)
        self._end_s = float(shown.time_s[-1]) + 1 / shown.fps
        share = confidence(shown.prediction, shown.probabilities)
        self._percent = np.round(100 * share).astype(int)
        self._layer = lru_cache(maxsize=2)(self._drawn)

    def __call__(self, picture: Picture, time_s: float) -> None:
        """Draw the band of a moment, in seconds after the first frame."""
        # Half a microsecond: tables hold six digits, frame times hold all of them.
        sample = int(np.searchsorted(self._shown.time_s, time_s + 5e-7, side="right")) - 1
        sample = max(0, sample)
        run = int(np.searchsorted(self._runs.start, sample, side="right")) - 1
        elapsed_s = time_s - float(self._shown.time_s[self._runs.start[run]])
        height, width = picture.y.shape
        layer = self._layer(
            (width, height, picture.bt709),
            (run, int(self._percent[sample]), int(max(0.0, elapsed_s) + 1e-6)),
            round(width * min(1.0, time_s / self._end_s)),
        )
        rows = len(layer.y)
        _blend(picture.y[height - rows :], layer.y, layer.alpha)
        half = layer.alpha[::2, ::2]
        _blend(picture.u[(height - rows) // 2 :], layer.u, half)
        _blend(picture.v[(height - rows) // 2 :], layer.v, half)

    def _drawn(
        self, shape: tuple[int, int, bool], moment: tuple[int, int, int], cursor_px: int
    ) -> "_Layer":
        """The band as planes.

        Args:
            shape: Width and height of the picture, and whether it is BT.709.
            moment: Number of the run, confidence in percent, seconds in the run.
            cursor_px: Where in the ribbon the moment lies.
        """
        width, height, bt709 = shape
        run, percent, elapsed_s = moment
        rows = min(height, 2 * round(max(_LEAST_PX, _HEIGHT * height) / 2))
        strip = max(6, round(0.2 * rows))
        image = Image.new("RGB", (width, rows), _BACK)
        draw = ImageDraw.Draw(image)
        label = int(self._runs.label[run])
        colours = class_colours(len(self._shown.classes))
        middle, margin = (rows - strip) / 2, round(0.22 * rows)
        box = round(0.44 * rows)
        draw.rounded_rectangle(
            (margin, middle - box / 2, margin + box, middle + box / 2),
            radius=box // 6,
            fill=colours[label] if label >= 0 else UNLABELLED,
            outline="white",
        )
        right = f"{clock(elapsed_s)}   {percent} %"
        small = _font(round(0.34 * rows))
        start = width - margin - draw.textlength(right, font=small)
        draw.text((width - margin, middle), right, fill="white", font=small, anchor="rm")
        name = self._shown.classes[label] if label >= 0 else "unlabelled"
        room = start - 3 * margin - box
        draw.text(
            (2 * margin + box, middle),
            name,
            fill="white",
            font=_fitting(draw, name, rows, room),
            anchor="lm",
        )
        self._draw_ribbon(draw, rows - strip, rows, width, cursor_px)
        pixels = np.asarray(image, dtype=np.float32)
        # What is drawn is opaque, and only the ground between lets the picture through.
        ground = [pixels[..., i] == value for i, value in enumerate(_BACK)]
        opaque = np.where(ground[0] & ground[1] & ground[2], np.float32(_OPACITY), np.float32(1))
        return _layer(pixels, opaque, bt709)

    def _draw_ribbon(
        self, draw: ImageDraw.ImageDraw, top: int, bottom: int, width: int, cursor_px: int
    ) -> None:
        colours = class_colours(len(self._shown.classes))
        scale = width / self._end_s
        ends = [*self._shown.time_s[self._runs.start[1:]], self._end_s]
        for label, first, end_s in zip(self._runs.label, self._runs.start, ends, strict=True):
            if label >= 0:
                left = round(float(self._shown.time_s[first]) * scale)
                right = max(left, round(float(end_s) * scale) - 1)
                draw.rectangle((left, top, right, bottom), fill=colours[int(label)])
        half = max(1, round(0.02 * bottom))
        draw.rectangle(
            (cursor_px - 2 * half, top - half, cursor_px + 2 * half, bottom), fill="black"
        )
        draw.rectangle((cursor_px - half, top - half, cursor_px + half, bottom), fill="white")


@dataclass(frozen=True)
class _Layer:
    """What is laid over a picture's lower edge.

    Attributes:
        y: (h, W) float32 luma.
        u: (h / 2, W / 2) float32 chroma.
        v: Likewise.
        alpha: (h, W) float32, 1 where it hides the picture.
    """

    y: NDArray[np.float32]
    u: NDArray[np.float32]
    v: NDArray[np.float32]
    alpha: NDArray[np.float32]


def _layer(rgb: NDArray[np.float32], alpha: NDArray[np.float32], bt709: bool) -> _Layer:
    """An image (h, W, 3) in [0, 255] as planes of limited range (ITU-R BT.601 and BT.709)."""
    red, blue = (0.2126, 0.0722) if bt709 else (0.299, 0.114)
    luma = rgb @ np.array([red, 1 - red - blue, blue], np.float32)
    u = (rgb[..., 2] - luma) / (2 * (1 - blue))
    v = (rgb[..., 0] - luma) / (2 * (1 - red))
    halves = [
        128 + 224 / 255 * (c[::2, ::2] + c[1::2, ::2] + c[::2, 1::2] + c[1::2, 1::2]) / 4
        for c in (u, v)
    ]
    return _Layer(16 + 219 / 255 * luma, halves[0], halves[1], alpha)


def _blend(under: NDArray[np.uint8], over: NDArray[np.float32], alpha: NDArray[np.float32]) -> None:
    under[:] = np.rint(under + alpha * (over - under)).astype(np.uint8)


@lru_cache(maxsize=32)
def _font(size_px: int) -> ImageFont.FreeTypeFont:
    # Matplotlib brings a font of its own, so that every machine draws the same.
    return ImageFont.truetype(
        str(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans-Bold.ttf"), size_px
    )


def _fitting(
    draw: ImageDraw.ImageDraw, text: str, rows: int, room: float
) -> ImageFont.FreeTypeFont:
    """The font of a phase's name: as large as the band allows, smaller where it is long."""
    size = round(0.42 * rows)
    while size > 8 and draw.textlength(text, font=_font(size)) > room:
        size -= 1
    return _font(size)
