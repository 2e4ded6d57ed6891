"""The classes that are confused most, from reports/predictions, a sentence each."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.errors import PipelineError
from pipeline.evaluate.error_analysis import confused_pairs
from pipeline.metrics.frame import confusion
from pipeline.prediction_files import read_prediction

_MOST = 5
_OF_VIDEOS = "videos.csv"
"""What the evaluate stage calls its one table of models with one answer per video."""
_OF_IMAGES = "images.csv"
"""The same of models of single images."""


def known_confusions(predictions: Path, classes: Sequence[str]) -> list[str]:
    """The phases that are confused most in the test videos.

    Args:
        predictions: reports/predictions; where nothing is there, nothing is known.
        classes: Of the models.

    Raises:
        PipelineError: The predictions are of other models.
    """
    matrix = np.zeros((len(classes), len(classes)), dtype=np.int64)
    for path in sorted(predictions.glob("*.csv")):
        video = read_prediction(path, str(path))
        if video.classes != tuple(classes):
            raise _of_other_models(path, "phases", video.classes, classes)
        labelled = video.scored.labelled
        matrix += confusion(
            video.scored.truth[labelled], video.scored.prediction[labelled], len(classes)
        )
    return _sentences(matrix, classes, "{count} frames, {share:.0f} % of that phase")


def known_answers(predictions: Path, classes: Sequence[str]) -> list[str]:
    """The same of models with one answer per video; of a number, nothing.

    Args:
        predictions: As above.
        classes: Of the models; none where they predict a number.

    Raises:
        PipelineError: The predictions are of other models.
    """
    path = predictions / _OF_VIDEOS
    if not path.is_file():
        if any(predictions.glob("*.csv")):
            raise PipelineError(
                f"{predictions}: has no {_OF_VIDEOS}, so that the report is on models of phases, "
                "but these give one answer per video (task.kind: video). Run `dvc repro`, so that "
                "report and models belong together."
            )
        return []
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    # Test videos may have further classes that no model knows.
    found = [str(column)[2:] for column in table if str(column).startswith("p_")]
    if not set(classes) <= set(found) or bool(classes) != bool(found):
        raise _of_other_models(path, "classes", found, classes)
    if not found:
        return []
    truth, prediction = (
        np.array([found.index(name) for name in table[column]], dtype=np.int64)
        for column in ("truth", "prediction")
    )
    matrix = confusion(truth, prediction, len(found))
    return _sentences(matrix, found, "{count} of its videos, {share:.0f} %")


def known_mistakes(predictions: Path, classes: Sequence[str]) -> list[str]:
    """The same of models of single images.

    Args:
        predictions: As above.
        classes: Of the models.

    Raises:
        PipelineError: The predictions are of other models.
    """
    path = predictions / _OF_IMAGES
    if not path.is_file():
        return []
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    found = [str(column)[2:] for column in table if str(column).startswith("p_")]
    if found != list(classes):
        raise _of_other_models(path, "classes", found, classes)
    truth, prediction = (
        np.array([found.index(name) for name in table[column]], dtype=np.int64)
        for column in ("true_label", "predicted_label")
    )
    matrix = confusion(truth, prediction, len(found))
    return _sentences(matrix, found, "{count} of its images, {share:.0f} %")


def _sentences(matrix: NDArray[np.int64], classes: Sequence[str], count: str) -> list[str]:
    return [
        f"{classes[pair.truth]} taken for {classes[pair.prediction]}: "
        + count.format(count=pair.count, share=100 * pair.of_phase)
        for pair in confused_pairs(matrix, _MOST)
    ]


def _of_other_models(
    path: Path, what: str, found: Sequence[str], classes: Sequence[str]
) -> PipelineError:
    return PipelineError(
        f"{path}: its {what} are {', '.join(found) or 'none'}, those of the models "
        f"{', '.join(classes) or 'none'}. Run `dvc repro`, so that report and models belong "
        "together."
    )
