"""What fewer bits cost: accuracy on the validation videos, before and after."""

import numpy as np

from pipeline import paths
from pipeline.errors import PipelineError
from pipeline.export.images import batches
from pipeline.export.phases import phases
from pipeline.export.runtime import Floats, OnnxModels
from pipeline.features.rows import with_lost
from pipeline.frame_store import FrameFile
from pipeline.networks.backbones.transform import Transform
from pipeline.progress import Progress
from pipeline.segments import Labels
from pipeline.sequences import Sequence, read_split
from pipeline.tables import read_folds


def validation_accuracy(models: OnnxModels, transform: Transform) -> str:
    """One line: share of validation frames that are right, before and after.

    Args:
        models: The exported ones.
        transform: What is done to an image before.
    """
    try:
        if models.of_videos:
            raise PipelineError("these models give one answer per video")
        videos = _videos()
    except PipelineError as error:
        return f"accuracy on validation videos not measured: {error}"
    right, before, total = 0, 0, 0
    with Progress("export: validation", len(videos)) as progress:
        for video in videos:
            labelled = video.labels >= 0
            features = _features(video, models, transform)
            right += _right(video.labels, features, models)
            before += _right(video.labels, video.features.astype(np.float32), models)
            total += int(labelled.sum())
            progress.step(video.video)
    return (
        f"accuracy on {len(videos)} validation videos: {100 * right / total:.2f} %, "
        f"with the project's features {100 * before / total:.2f} %"
    )


def _videos() -> list[Sequence]:
    if read_folds() != (None,):
        raise PipelineError("with folds, each video is validated by other networks")
    videos = read_split("val")
    missing = [v.video for v in videos if not (paths.FRAMES / f"{v.video}.h5").is_file()]
    if missing:
        raise PipelineError(f"{paths.FRAMES}: lacks {', '.join(missing)}")
    if not any((v.labels >= 0).any() for v in videos):
        raise PipelineError("there are no labelled ones")
    return videos


def _features(video: Sequence, models: OnnxModels, transform: Transform) -> Floats:
    with FrameFile(paths.FRAMES / f"{video.video}.h5") as frames:
        rows = [models.features(images) for images in batches(frames, frames.kept, transform)]
        return with_lost(np.concatenate(rows), frames.lost)


def _right(labels: Labels, features: Floats, models: OnnxModels) -> int:
    _, prediction = phases(models.logits(features), models.temporal)
    return int((prediction == labels)[labels >= 0].sum())
