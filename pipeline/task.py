"""The section `task` of params.yaml: what is predicted."""

from pathlib import Path
from typing import Literal

from pipeline.settings import PARAMS, Section, check_section, read_params


class TaskParams(Section):
    """What is predicted; docs/datasets.md says more of images.

    Attributes:
        kind: The phase of each frame of a video, or the class of each single image.
    """

    kind: Literal["frames", "images"] = "frames"

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
