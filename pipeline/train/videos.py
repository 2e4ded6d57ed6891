"""The videos of a training: those to learn from, those to choose by, and what is asked of them."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.errors import PipelineError
from pipeline.paths import features_of
from pipeline.sequences import Sequence as Video
from pipeline.sequences import read_split
from pipeline.tables import read_phases, read_splits
from pipeline.task import TaskParams
from pipeline.train.params import TrainParams
from pipeline.train.track_task import TrackTask, track_task
from pipeline.train.video_task import VideoTask, video_task


@dataclass(frozen=True)
class Videos:
    """The videos of a fold, or of the single split; test videos are not among them.

    Attributes:
        fold: From 1; None for a single split.
        training: To learn from.
        validation: With labels, to choose the weights by.
        classes: Names in class order; none for a score per video.
        asked: The task with one answer per video, or with several labels per frame; None: a phase
            per frame.
    """

    fold: int | None
    training: Sequence[Video]
    validation: Sequence[Video]
    classes: Sequence[str]
    asked: VideoTask | TrackTask | None

    @property
    def learnt(self) -> Sequence[Video]:
        """What the training loop learns from: `training`, with the labels that are asked for."""
        return self.asked.training if self.asked else self.training

    @property
    def judged(self) -> Sequence[Video]:
        """What it chooses the weights by: `validation`, with the labels that are asked for."""
        return self.asked.validation if self.asked else self.validation


def read_videos(
    task: TaskParams,
    params: TrainParams,
    fold: int | None,
    folds: Sequence[int | None],
    refined: bool,
) -> Videos:
    """Read the features and labels of a fold.

    Args:
        task: The section `task`.
        params: The section `train`.
        fold: Which one; None for a single split.
        folds: All that are trained: their videos have the classes of one answer per video.
        refined: Whether the network has refinements, each of which predicts all tracks.

    Raises:
        PipelineError: No video to learn from, or none to choose by where the training needs one.
    """
    features = features_of(fold)
    training, validation = (read_split(split, features, fold=fold) for split in ("train", "val"))
    asked: VideoTask | TrackTask | None = None
    classes = read_phases()
    if task.of_videos:
        named = [read_splits(fold=other) for other in folds]
        all_names = [name for t in named for name in t.loc[t["split"] != "test", "video"]]
        asked = of_videos = video_task(task, training, validation, all_names)
        training, validation, classes = of_videos.training, of_videos.validation, of_videos.classes
        if of_videos.left_out:
            print(f"no {task.target}, left out: {', '.join(of_videos.left_out)}")
    else:
        validation = [video for video in validation if (video.labels >= 0).any()]
    _check(training, validation, params, "" if fold is None else f"fold {fold}: ")
    if task.further_tracks:
        asked = track_task(task, params, training, validation, classes, fold, refined)
    return Videos(fold, training, validation, classes, asked)


def _check(
    training: Sequence[Video], validation: Sequence[Video], params: TrainParams, where: str
) -> None:
    if not training:
        raise PipelineError(f"data/index/splits.csv: {where}no readable video in train.")
    if not any((video.labels >= 0).any() for video in training):
        raise PipelineError(
            f"data/index/labels.csv: {where}no frame of the training videos is labelled."
        )
    if not validation and params.early_stop:
        raise PipelineError(
            f"data/index/splits.csv: {where}no readable video in val has a label, but "
            f"train.early_stop is {params.early_stop}. Give val a video (split in params.yaml), or "
            "set train.early_stop: 0, which trains all epochs and keeps the last weights."
        )
