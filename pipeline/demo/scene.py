"""What an endoscope sees: tissue, instruments, blood, smoke, and a view that moves and flickers."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 384, 288
_TEXTURE = 640
Image = NDArray[np.uint8]

# Colour shift of the tissue by phase, RGB. Weak against the shift by operation, so that colour
# alone does not tell phases apart.
_TINT = {
    "Access": (24, 28, 14),
    "Exploration": (4, 10, 14),
    "Dissection": (14, -6, -12),
    "Clipping": (-8, 14, -10),
    "Separation": (-34, -14, -4),
    "Haemostasis": (14, -24, -16),
    "Retrieval": (-12, 6, 24),
}
# Instruments by phase: kind and share of the time for which it is in view. Phases share most of
# them, so that one frame is often ambiguous.
_TOOLS: dict[str, tuple[tuple[str, float], ...]] = {
    "Access": (("trocar", 0.65),),
    "Exploration": (("grasper", 0.65),),
    "Dissection": (("grasper", 0.5), ("hook", 0.75)),
    "Clipping": (("grasper", 0.3), ("clipper", 0.75)),
    "Separation": (("grasper", 0.3), ("scissors", 0.75)),
    "Haemostasis": (("suction", 0.7), ("grasper", 0.2)),
    "Retrieval": (("grasper", 0.2), ("bag", 0.7)),
}
# Shaft colour, tip colour, shaft width in pixels.
_LOOK: dict[str, tuple[tuple[int, int, int], tuple[int, int, int], int]] = {
    "grasper": ((70, 72, 78), (176, 180, 186), 20),
    "hook": ((38, 38, 42), (215, 175, 70), 15),
    "clipper": ((84, 104, 140), (110, 170, 230), 30),
    "scissors": ((60, 62, 66), (225, 225, 230), 18),
    "suction": ((160, 164, 170), (100, 104, 110), 22),
}
_SMOKY = ("Dissection", "Separation")


def _noise(generator: np.random.Generator, size: int, coarsest: int) -> NDArray[np.float32]:
    """Smooth noise of several octaves, (size, size) in about -1 to 1."""
    total = np.zeros((size, size), dtype=np.float32)
    cells, weight = coarsest, 1.0
    while cells < size // 2:
        grid = generator.standard_normal((cells, cells)).astype(np.float32)
        total += weight * cv2.resize(grid, (size, size), interpolation=cv2.INTER_CUBIC)
        cells, weight = cells * 2, weight * 0.6
    return total / np.float32(np.abs(total).max())


@dataclass(frozen=True)
class Body:
    """What one operation looks like throughout.

    Attributes:
        tissue: Phase to texture, (S, S, 3) uint8 RGB.
        smoke: (S, S) uint8.
        view: (H, W, 1) uint8 mask of the circular view, 0 or 255.
        vignette: (H, W, 3) float32 light falling off to the edge.
    """

    tissue: dict[str, Image]
    smoke: Image
    view: Image
    vignette: NDArray[np.float32]


def make_body(generator: np.random.Generator, phases: tuple[str, ...]) -> Body:
    """Draw the tissue and optics of an operation."""
    base = np.array([168, 84, 70]) + generator.normal(0, 5, 3)
    folds, vessels, fine = (_noise(generator, _TEXTURE, cells) for cells in (4, 9, 40))
    tissue = {}
    for phase in phases:
        colour = base + np.array(_TINT[phase]) + generator.normal(0, 3, 3)
        texture = colour + (folds * 46 + fine * 22)[..., None]
        texture[np.abs(vessels) < 0.035] += (26, -34, -26)
        if phase == "Haemostasis":
            pool = _noise(generator, _TEXTURE, 6) > 0.28
            texture[pool] = texture[pool] * 0.35 + np.array([118, 8, 10]) * 0.65
        if phase == "Access":
            fat = _noise(generator, _TEXTURE, 8) > 0.2
            texture[fat] = texture[fat] * 0.5 + np.array([214, 176, 96]) * 0.5
        tissue[phase] = np.clip(texture, 0, 255).astype(np.uint8)
    smoke = np.clip((_noise(generator, _TEXTURE, 3) + 0.6) * 150, 0, 255).astype(np.uint8)
    centre = np.array([WIDTH / 2, HEIGHT / 2]) + generator.normal(0, 4, 2)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    distance = np.hypot(x - centre[0], y - centre[1]) / (0.49 * HEIGHT)
    view = np.where(distance < 1, 255, 0).astype(np.uint8)[..., None]
    light = np.clip(1.12 - 0.55 * distance**2, 0, 2)[..., None]
    return Body(tissue, smoke, view, np.repeat(light, 3, axis=2).astype(np.float32))


class Camera:
    """The moving view of one operation; draws its frames in order."""

    def __init__(self, generator: np.random.Generator, body: Body) -> None:
        self._generator = generator
        self._body = body
        self._phase = ""
        self._tools: dict[str, bool] = {}
        self._wander: dict[str, NDArray[np.floating]] = {}
        # Several slow oscillations look like a hand; their frequencies are in hertz.
        self._rates = generator.uniform(0.05, 0.35, 6)
        self._starts = generator.uniform(0, 2 * np.pi, 6)
        self._flicker = generator.uniform(0.85, 1.1)

    def frame(self, phase: str, time_s: float) -> Image:
        """The picture at time_s: (H, W, 3) uint8 RGB. Call in the order of time."""
        if phase != self._phase:
            self._phase = phase
            self._tools = {name: self._generator.random() < share for name, share in _TOOLS[phase]}
        wave = np.sin(2 * np.pi * self._rates * time_s + self._starts)
        image = self._tissue(phase, wave)
        for name, share in _TOOLS[phase]:
            # In and out of view about every second.
            if self._generator.random() < 0.04:
                self._tools[name] = bool(self._generator.random() < share)
            if self._tools[name]:
                self._draw(image, name, wave)
        if phase in _SMOKY and wave[5] > 0.1:
            self._smoke(image, time_s, float(wave[5]))
        light = np.float32(self._flicker * (1 + 0.1 * wave[3]))
        lit = cv2.multiply(image, self._body.vignette, scale=float(light), dtype=cv2.CV_8U)
        return np.asarray(cv2.bitwise_and(lit, lit, mask=self._body.view), dtype=np.uint8)

    def _tissue(self, phase: str, wave: NDArray[np.float64]) -> Image:
        """The texture under the camera, which drifts, turns and zooms."""
        centre = _TEXTURE / 2 + 60 * wave[:2]
        pivot = (float(centre[0]), float(centre[1]))
        turned = cv2.getRotationMatrix2D(pivot, 12 * wave[2], 1.05 + 0.2 * wave[4])
        matrix = np.asarray(turned, dtype=np.float64)
        matrix[:, 2] += np.array([WIDTH, HEIGHT]) / 2 - centre
        warped = cv2.warpAffine(
            self._body.tissue[phase], matrix, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT
        )
        return np.asarray(warped, dtype=np.uint8)

    def _draw(self, image: Image, name: str, wave: NDArray[np.float64]) -> None:
        side = -1 if name in ("hook", "clipper", "scissors", "suction") else 1
        wander = self._wander.setdefault(name, self._generator.normal(0, 16, 2))
        wander[:] = 0.97 * wander + self._generator.normal(0, 1.6, 2)
        tip = np.array([WIDTH / 2 - side * 26, HEIGHT / 2]) + wander + 14 * wave[[1, 3]]
        entry = np.array([WIDTH / 2 - side * 230, HEIGHT * 0.86])
        if name == "trocar":
            _ring(image, tip)
        elif name == "bag":
            _bag(image, tip)
        else:
            _instrument(image, name, entry, tip)

    def _smoke(self, image: Image, time_s: float, density: float) -> None:
        shift = int(40 * time_s) % (_TEXTURE - HEIGHT)
        cloud = self._body.smoke[shift : shift + HEIGHT, 100 : 100 + WIDTH]
        grey = cv2.merge([cloud, cloud, cloud])
        cv2.addWeighted(image, 1 - 0.35 * density, grey, 0.5 * density, 0, dst=image)


def _point(position: NDArray[np.float64]) -> tuple[int, int]:
    return int(position[0]), int(position[1])


def _instrument(
    image: Image, name: str, entry: NDArray[np.float64], tip: NDArray[np.float64]
) -> None:
    shaft, metal, width = _LOOK[name]
    along = (tip - entry) / np.linalg.norm(tip - entry)
    across = np.array([-along[1], along[0]])
    joint = tip - 34 * along
    cv2.line(image, _point(entry), _point(joint), shaft, width, cv2.LINE_AA)
    lit = tuple(min(255, c + 45) for c in shaft)
    edge = across * width / 4
    cv2.line(image, _point(entry + edge), _point(joint + edge), lit, 2, cv2.LINE_AA)
    if name == "hook":
        cv2.line(image, _point(joint), _point(tip), metal, 4, cv2.LINE_AA)
        cv2.line(image, _point(tip), _point(tip - 16 * across), metal, 5, cv2.LINE_AA)
    elif name == "suction":
        cv2.line(image, _point(joint), _point(tip), metal, width - 3, cv2.LINE_AA)
        cv2.circle(image, _point(tip), 5, (12, 8, 8), -1, cv2.LINE_AA)
    else:
        opening = {"grasper": 9, "clipper": 13, "scissors": 15}[name]
        thickness = {"grasper": 6, "clipper": 8, "scissors": 4}[name]
        for sign in (-1, 1):
            jaw = tip + sign * opening * across
            cv2.line(image, _point(joint), _point(jaw), metal, thickness, cv2.LINE_AA)


def _ring(image: Image, centre: NDArray[np.float64]) -> None:
    cv2.ellipse(image, _point(centre), (62, 48), 10, 0, 360, (178, 186, 196), 12, cv2.LINE_AA)
    cv2.ellipse(image, _point(centre), (52, 39), 10, 0, 360, (64, 70, 80), 4, cv2.LINE_AA)


def _bag(image: Image, centre: NDArray[np.float64]) -> None:
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    radius = 52 + 9 * np.sin(3 * angles)
    outline = centre + np.stack([radius * np.cos(angles), 0.7 * radius * np.sin(angles)], axis=1)
    cv2.fillPoly(image, [outline.astype(np.int32)], (206, 214, 226), cv2.LINE_AA)
    cv2.polylines(image, [outline.astype(np.int32)], True, (120, 132, 156), 3, cv2.LINE_AA)
