"""The section `frames` of params.yaml."""

from fractions import Fraction
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from pipeline.settings import Section
from pipeline.timebase import exact_fps


def _is_rate(value: Any) -> Any:
    exact_fps(value)
    return value


class FramesParams(Section):
    """Which frames are taken, and how they are kept.

    Attributes:
        fps: Frames per second of video; 1, 0.5 or "30000/1001".
        short_side: Length in pixels that the shorter side is resized to.
        crop_borders: Cut off the black borders of the endoscope's view, by one box per video.
        quality: Of the JPEGs.
        decoder: PyAV decodes only the packets that the sampled frames need and is the quicker one
            at every rate (benchmarks/README.md). decord is used where it finds frames reliably.
        on_error: What becomes of damaged videos, after all others are done. `stop` ends the stage;
            `skip` leaves them out, and the report names them; `mask` keeps their good frames and
            marks the samples whose frame is lost.
    """

    fps: Annotated[int | float | str, AfterValidator(_is_rate)] = 1
    short_side: int = Field(256, ge=32)
    crop_borders: bool = False
    quality: int = Field(95, ge=1, le=100)
    decoder: Literal["pyav", "decord"] = "pyav"
    on_error: Literal["stop", "skip", "mask"] = "stop"

    @property
    def rate(self) -> Fraction:
        """`fps` as the exact rate that was meant."""
        return exact_fps(self.fps)
