"""Training for several labels of each frame: joint labels, loss, what a model file says of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.networks.temporal import refined_track_heads, track_heads
from pipeline.networks.temporal.contract import Kind
from pipeline.networks.temporal.refined_track_heads import kind_of_tracks
from pipeline.networks.temporal.track_heads import KindOfTracks, joint_labels
from pipeline.paths import features_of
from pipeline.sequences import FrameTarget, read_split
from pipeline.sequences import Sequence as Video
from pipeline.task import TaskParams
from pipeline.tracks import read_track
from pipeline.train.params import TrainParams
from pipeline.training import refined_track_loss, track_loss
from pipeline.training.class_weights import class_weights
from pipeline.training.history import Epoch
from pipeline.training.refined_track_loss import RefinedTrackLoss
from pipeline.training.sequence_loss import SequenceLoss
from pipeline.training.track_loss import TrackLoss

if TYPE_CHECKING:
    from pipeline.training.loss import Loss


@dataclass(frozen=True)
class TrackTask:
    """Videos with the labels of all tracks, ready to be learnt from.

    Attributes:
        params: The section `task`.
        classes: Names in class order, by track, the first one first.
        each: Labels (T,) of all training frames, end to end, of each track.
        training: Videos to learn from, with joint labels.
        validation: Videos to choose the weights by: with joint labels where the loss chooses, which
            is the mean over tracks; else with those of the first track, whose score chooses.
        by_loss: Whether the loss chooses.
        refined: Whether the network has refinements, each of which predicts all tracks.
    """

    params: TaskParams
    classes: Mapping[str, tuple[str, ...]]
    each: Sequence[NDArray[np.int64]]
    training: Sequence[Video]
    validation: Sequence[Video]
    by_loss: bool
    refined: bool

    @property
    def code(self) -> tuple[ModuleType, ...]:
        """Behind the weights, beside the loop and the kind."""
        if self.refined:
            return refined_track_heads, refined_track_loss
        return track_heads, track_loss

    @property
    def num_outputs(self) -> int:
        """Classes of the first track."""
        return self._num_classes[0]

    def kind(self, kind: Kind) -> KindOfTracks:
        """A kind of temporal network with a head for each track."""
        return kind_of_tracks(kind, self._num_classes[1:], self.refined)

    def loss(self, params: TrainParams, device: torch.device) -> "Loss":
        """What is trained: the mean of the tracks' losses, each with its class weights.

        With refinements it is the mean over them, too.
        """
        losses = []
        for labels, number in zip(self.each, self._num_classes, strict=True):
            weights = torch.tensor(class_weights(params.class_weights, labels, number))
            losses.append(
                SequenceLoss(
                    weights.float().to(device),
                    params.loss,
                    params.label_smoothing,
                    params.focal_gamma,
                )
            )
        loss = TrackLoss(losses)
        return RefinedTrackLoss(loss) if self.refined else loss

    def deciding_of(self, params: TrainParams) -> dict[str, Any]:
        """The keys of `train` that decide the weights."""
        return params.deciding()

    def deciding(self) -> dict[str, Any]:
        """What decides the weights beyond the videos: for a fingerprint. Names do not."""
        return {"tracks": list(self._num_classes)}

    def header(self) -> dict[str, Any]:
        """What a model file says of its task."""
        return {
            "task": {"kind": self.params.kind, "tracks": list(self.classes)},
            "tracks": {name: list(classes) for name, classes in self.classes.items()},
        }

    def meaningful(self, row: Epoch) -> Epoch:
        """A row of the curves: joint labels have a loss, but neither accuracy nor F1."""
        return replace(row, val_accuracy=None, val_macro_f1=None) if self.by_loss else row

    @property
    def _num_classes(self) -> tuple[int, ...]:
        return tuple(len(classes) for classes in self.classes.values())


def track_task(
    task: TaskParams,
    params: TrainParams,
    training: Sequence[Video],
    validation: Sequence[Video],
    phases: Sequence[str],
    fold: int | None,
    refined: bool,
) -> TrackTask:
    """The videos with the labels that data/index/tracks.csv gives beside their phases.

    Args:
        task: The section `task`.
        params: The section `train`.
        training: Videos to learn from, with their phases.
        validation: Videos to choose by, with their phases.
        phases: Names in class order.
        fold: Whose videos they are; None for a single split.
        refined: Whether the network has refinements.

    Raises:
        PipelineError: There is no such track.
    """
    first, *further = task.tracks
    classes = {first: tuple(phases)} | {name: read_track(name)[1] for name in further}
    num_classes = [len(names) for names in classes.values()]
    by_loss = params.monitor == "loss"
    features = features_of(fold)

    def labels_of(videos: Sequence[Video], split: str) -> list[list[NDArray[np.int64]]]:
        """Of each video the labels of each track."""
        tracks = [
            {video.video: video for video in read_split(split, features, fold=fold, track=track)}
            for track in further
        ]
        return [[v.labels, *(track[v.video].labels for track in tracks)] for v in videos]

    def joined(
        videos: Sequence[Video], labels: Sequence[Sequence[NDArray[np.int64]]]
    ) -> list[Video]:
        return [
            replace(video, target=FrameTarget(joint_labels(own, num_classes)))
            for video, own in zip(videos, labels, strict=True)
        ]

    learnt = labels_of(training, "train")
    return TrackTask(
        params=task,
        classes=classes,
        each=[np.concatenate(track) for track in zip(*learnt, strict=True)],
        training=joined(training, learnt),
        validation=joined(validation, labels_of(validation, "val")) if by_loss else validation,
        by_loss=by_loss,
        refined=refined,
    )
