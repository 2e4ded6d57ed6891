"""What the sections `task` and `train` must agree on."""

from pathlib import Path

from pipeline.errors import PipelineError
from pipeline.settings import PARAMS
from pipeline.task import TaskParams
from pipeline.train.params import TrainParams


def check_training(task: TaskParams, params: TrainParams, path: Path = PARAMS) -> None:
    """Refuse what has no meaning for one answer per video, or for several tracks.

    Raises:
        PipelineError: There is a window, or a number is to be monitored by a score of classes, or
            several tracks are to go on with a network that knows phases alone.
    """
    if task.further_tracks and params.end_to_end:
        raise PipelineError(
            f"{path}: train.end_to_end: found true, but the RNN of the backbone knows phases alone "
            f"and task.tracks names {', '.join(task.tracks)}. Set train.end_to_end: false, or "
            "task.tracks: [phase]."
        )
    if not task.of_videos:
        return
    if params.window is not None:
        raise PipelineError(
            f"{path}: train.window is {params.window}, but task.kind: video needs whole videos. "
            "Set train.window: null."
        )
    if task.scale == "number" and params.monitor != "loss":
        raise PipelineError(
            f"{path}: train.monitor: found {params.monitor}, which is for classes; task.scale: "
            "number allows: loss."
        )
