"""Training for one answer per video: targets, loss, and what a model file says of the task."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from pipeline.errors import PipelineError
from pipeline.networks.temporal import video_head
from pipeline.networks.temporal.contract import Kind
from pipeline.networks.temporal.video_head import KindOfVideos
from pipeline.sequences import Sequence as Video
from pipeline.sequences import VideoTarget
from pipeline.task import TaskParams
from pipeline.train.params import TrainParams
from pipeline.training import video_loss
from pipeline.training.class_weights import class_weights
from pipeline.training.history import Epoch
from pipeline.training.video_loss import ScoreLoss, VideoClassLoss
from pipeline.video_targets import check_classes, check_scores, read_column

if TYPE_CHECKING:
    from pipeline.training.loss import Loss

_OF_CLASSES = ("loss", "label_smoothing", "focal_gamma", "class_weights")


@dataclass(frozen=True)
class VideoTask:
    """Videos with their answers, ready to be learnt from.

    Attributes:
        params: The section `task`.
        training: Videos to learn from, each with a target.
        validation: Videos to choose the weights by, each with a target.
        classes: Names in class order; none for a number.
        scores: The different scores in rising order, standardised; none for classes.
        mean: Of the training videos' scores; 0 for classes.
        std: Of the same, ddof = 0; 1 for classes.
        left_out: Videos of train and val without a value.
    """

    params: TaskParams
    training: list[Video]
    validation: list[Video]
    classes: tuple[str, ...]
    scores: tuple[float, ...]
    mean: float
    std: float
    left_out: tuple[str, ...]

    @property
    def code(self) -> tuple[ModuleType, ...]:
        """Behind the weights, beside the loop and the kind."""
        return video_head, video_loss

    @property
    def num_outputs(self) -> int:
        """C, or 1 for a number."""
        return len(self.classes) or 1

    def kind(self, kind: Kind) -> KindOfVideos:
        """A kind of temporal network that gives one answer per video."""
        return KindOfVideos(kind, self.params.pooling)

    def loss(self, params: TrainParams, device: torch.device) -> "Loss":
        """What is trained: weighted cross-entropy, focal loss, or the squared error of a score."""
        if self.scores:
            return ScoreLoss(torch.tensor(self.scores, dtype=torch.float32, device=device))
        labels = np.concatenate([video.labels for video in self.training])
        weights = torch.tensor(class_weights(params.class_weights, labels, len(self.classes)))
        return VideoClassLoss(
            weights.float().to(device), params.loss, params.label_smoothing, params.focal_gamma
        )

    def deciding_of(self, params: TrainParams) -> dict[str, Any]:
        """The keys of `train` that decide the weights: a score has no loss of classes."""
        unread = _OF_CLASSES if self.scores else ()
        return {key: value for key, value in params.deciding().items() if key not in unread}

    def deciding(self) -> dict[str, Any]:
        """What decides the weights beyond the videos: for a fingerprint."""
        return {"pooling": self.params.pooling, "scores": list(self.scores)}

    def header(self) -> dict[str, Any]:
        """What a model file says of its task."""
        task: dict[str, Any] = self.params.model_dump(exclude={"tracks"})
        if self.scores:
            task |= {"mean": self.mean, "std": self.std}
        return {"task": task}

    def meaningful(self, row: Epoch) -> Epoch:
        """A row of the curves: a number has neither accuracy nor F1."""
        return replace(row, val_accuracy=None, val_macro_f1=None) if self.scores else row


def video_task(
    task: TaskParams,
    training: Sequence[Video],
    validation: Sequence[Video],
    with_classes: Sequence[str],
) -> VideoTask:
    """The videos with the answers that data/index/videos.csv gives, without those that have none.

    Args:
        task: The section `task`.
        training: Videos to learn from.
        validation: Videos to choose by.
        with_classes: Names of the videos whose values are the classes: of train and val, and of
            all folds where there are several, so that their networks answer alike.

    Raises:
        PipelineError: The column is missing or does not hold what `task.scale` says, or no training
            video has a value.
    """
    target = str(task.target)
    column = read_column(target)
    texts = {video.video: column.get(video.video, "") for video in [*training, *validation]}
    if not any(texts[video.video] for video in training):
        raise PipelineError(f"data/index/videos.csv: no training video has a value of {target}.")
    classes: tuple[str, ...] = ()
    scores: tuple[float, ...] = ()
    mean, std = 0.0, 1.0
    if task.scale == "number":
        found = check_scores(target, texts)
        mean, std = _statistics(target, [found[v.video] for v in training if v.video in found])
        different = sorted(set(found.values()))
        scores = tuple((score - mean) / std for score in different)
        number = {video: different.index(score) for video, score in found.items()}
    else:
        classes = check_classes(target, task.scale, [column.get(v, "") for v in with_classes])
        number = {video: classes.index(text) for video, text in texts.items() if text}
    left_out = tuple(name for name, text in texts.items() if not text)

    def with_target(videos: Sequence[Video]) -> list[Video]:
        known = [video for video in videos if video.video in number]
        return [replace(video, target=VideoTarget(number[video.video])) for video in known]

    found_in = with_target(training), with_target(validation)
    return VideoTask(task, *found_in, classes, scores, mean, std, left_out)


def _statistics(target: str, scores: list[float]) -> tuple[float, float]:
    """Mean and standard deviation (ddof = 0) of the training videos' scores."""
    if len(set(scores)) < 2:
        raise PipelineError(
            f"params.yaml: task.target: found {target!r}, which is {scores[0]:g} for every "
            "training video; two values or more are needed."
        )
    return float(np.mean(scores)), float(np.std(scores))
