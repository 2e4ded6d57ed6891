"""Linear probe and nearest neighbours, from training videos to scores of others."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import PipelineError
from pipeline.feature_space.neighbours import nearest, vote
from pipeline.feature_space.pool import Pool, pooled
from pipeline.metrics.bootstrap import draw_videos, every_video_once, interval
from pipeline.metrics.frame import confusion, frame_figures
from pipeline.probe.linear import fitted_probe
from pipeline.sequences import Sequence as VideoSequence

TRAINING_FRAMES = 10_000
"""At most, the same number of each video and evenly spaced: neighbours in time are nearly the same
frame, and time and memory stay bounded for any number of videos."""

DRAWS = 2000

Classifier = Callable[[NDArray[np.float32]], NDArray[np.int64]]


@dataclass(frozen=True)
class Scores:
    """What was predicted from single frames, by the definitions of the report.

    Attributes:
        accuracy: Mean over videos.
        interval: Ends of its 95 % interval, a bootstrap over videos; None for a single video.
        macro_f1: F1, mean over the videos for each phase, then over phases.
    """

    accuracy: float
    interval: tuple[float, float] | None
    macro_f1: float


@dataclass(frozen=True)
class Probed:
    """How much the features of one backbone tell.

    Attributes:
        linear: Scores of the linear probe.
        neighbours: Scores of the nearest neighbours.
        c: Inverse strength of the linear probe's penalty.
        training_frames: Frames that both were given.
        videos: That were scored.
        frames: Of theirs that have a label.
    """

    linear: Scores
    neighbours: Scores
    c: float
    training_frames: int
    videos: int
    frames: int


def probed(
    training: Sequence[VideoSequence], scored: Sequence[VideoSequence], classes: Sequence[str]
) -> Probed:
    """Fit both classifiers to training videos and score them on others.

    Args:
        training: Training videos.
        scored: Videos of another split.
        classes: Names in class order.

    Raises:
        PipelineError: No video has a labelled frame, on either side.
    """
    scored = [sequence for sequence in scored if (sequence.labels >= 0).any()]
    if not scored or not any((sequence.labels >= 0).any() for sequence in training):
        raise PipelineError(
            "data/index/splits.csv: a probe needs labelled videos in train and in the split that "
            "it is scored on. Give them some (split in params.yaml), or choose another by --split."
        )
    known = pooled(training, TRAINING_FRAMES)
    linear, c = fitted_probe(known)
    matrices = _matrices(linear.predict, scored, len(classes))
    return Probed(
        linear=_scores(matrices),
        neighbours=_scores(_matrices(_voting(known, len(classes)), scored, len(classes))),
        c=c,
        training_frames=len(known),
        videos=len(scored),
        frames=int(matrices.sum()),
    )


def _voting(known: Pool, num_classes: int) -> Classifier:
    return lambda features: vote(nearest(features, known.features), known.labels, num_classes)


def _matrices(
    classifier: Classifier, videos: Sequence[VideoSequence], num_classes: int
) -> NDArray[np.int64]:
    """Confusion matrices (V, C, C), video after video, so that one is in memory as float32."""
    frames = (pooled([video]) for video in videos)
    return np.stack([confusion(f.labels, classifier(f.features), num_classes) for f in frames])


def _scores(matrices: NDArray[np.int64]) -> Scores:
    once = frame_figures(matrices, every_video_once(len(matrices)))
    drawn = frame_figures(matrices, draw_videos(len(matrices), DRAWS))
    return Scores(
        accuracy=float(once["frame.accuracy.mean"][0]),
        interval=interval(drawn["frame.accuracy.mean"]) if len(matrices) > 1 else None,
        macro_f1=float(once["frame.f1.per_phase_mean"][0]),
    )
