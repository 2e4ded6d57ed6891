"""The section `task` of params.yaml: a phase per frame, one answer per video, or single images."""

from pathlib import Path
from typing import Literal, Self

from pydantic import model_validator

from pipeline.settings import PARAMS, Section, check_section, read_params

Pooling = Literal["attention", "mean", "last"]
Scale = Literal["nominal", "ordinal", "number"]


class TaskParams(Section):
    """What is predicted; docs/tasks.md has the same with examples.

    Attributes:
        kind: The phase of each frame, one answer for the whole video, such as the surgeon's skill,
            or the class of each single image (docs/datasets.md).
        target: For `video`, the column of data/index/videos.csv that is predicted.
        scale: For `video`. nominal: the values are classes. ordinal: classes in the order of their
            numbers, scored as such too. number: a score, predicted by regression.
        pooling: For `video`, how the frames become one: weights that are learnt, their mean, or the
            last one alone.
        tracks: For `frames`, what each frame is labelled with: the phase, and further tracks of
            data/index/tracks.csv, each with a head of its own. The first one is what is predicted
            wherever there is one prediction.
    """

    kind: Literal["frames", "video", "images"] = "frames"
    target: str | None = None
    scale: Scale = "nominal"
    pooling: Pooling = "attention"
    tracks: list[str] = ["phase"]  # noqa: RUF012 (pydantic gives each its own)

    @model_validator(mode="after")
    def _a_video_has_a_target(self) -> Self:
        if self.kind == "video" and not self.target:
            raise ValueError(
                "kind is video, but target names no column. Set target to a column of "
                "data/index/videos.csv, such as experience"
            )
        return self

    @model_validator(mode="after")
    def _phases_come_first(self) -> Self:
        if self.tracks[:1] != ["phase"] or len(set(self.tracks)) < len(self.tracks):
            raise ValueError(
                f"tracks: found {self.tracks}. Begin with phase and name each further track once, "
                "such as [phase, step]"
            )
        if self.further_tracks and self.kind != "frames":
            raise ValueError(
                f"tracks: found {self.tracks}, but kind is {self.kind}; several tracks are labels "
                "of frames. Set kind: frames, or tracks: [phase]"
            )
        return self

    @property
    def further_tracks(self) -> list[str]:
        """Those behind the first one."""
        return self.tracks[1:]

    @property
    def of_videos(self) -> bool:
        """Whether there is one answer per video."""
        return self.kind == "video"

    @property
    def of_images(self) -> bool:
        """Whether there are single images in place of videos."""
        return self.kind == "images"


def read_task(path: Path = PARAMS) -> TaskParams:
    """The section `task`; without one, the phase of each frame is predicted.

    Raises:
        PipelineError: It has an unknown key or an impossible value.
    """
    return check_section(TaskParams, "task", read_params(path).get("task") or {}, path)
