"""Single images to their classes: cut, shrunk, kept as JPEG and encoded as the stages do it."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import PipelineError
from pipeline.evaluate.predict import predict
from pipeline.features.rows import stored_as
from pipeline.frames.image_file import picture_in
from pipeline.frames.params import FramesParams
from pipeline.predict.encoded import of_views
from pipeline.predict.loaded import Loaded
from pipeline.predict.prediction import abstaining
from pipeline.segments import Labels
from pipeline.sequences import FrameTarget
from pipeline.sequences import Sequence as Samples

# As many as a container of the frames stage holds: memory does not grow with the folder.
_TOGETHER = 900


@dataclass(frozen=True)
class ClassifiedImages:
    """The classes of images.

    Attributes:
        classes: Names in class order.
        paths: The N files that could be read, in their order.
        classified: (N,) int64, the class of each; -1 where the model abstains.
        probabilities: (N, C) float64, rows sum to 1.
        damaged: Of each other file a line that names it and says what is wrong.
    """

    classes: tuple[str, ...]
    paths: tuple[Path, ...]
    classified: Labels
    probabilities: NDArray[np.float64]
    damaged: tuple[str, ...] = ()

    @property
    def labels(self) -> list[str]:
        """The class of each image by name, N of them; empty where the model abstains."""
        names = (*self.classes, "")
        return [names[number] for number in self.classified.tolist()]


def classify(
    paths: Sequence[Path],
    models: Loaded,
    pool: ThreadPoolExecutor,
    abstain: float | None,
    progressed: Callable[[int, int], None],
) -> ClassifiedImages:
    """The classes of image files.

    Args:
        paths: The files.
        models: Of single images.
        pool: Threads that read images.
        abstain: Below this probability of the best class, an image is left without one.
        progressed: Told how many images of how many are done.

    Raises:
        PipelineError: The device has too little memory.
    """
    classes = models.recipe.classes
    read: list[Path] = []
    damaged: list[str] = []
    parts = [np.zeros((0, len(classes)))]
    for start in range(0, len(paths), _TOGETHER):
        together = paths[start : start + _TOGETHER]
        found = list(pool.map(lambda path: _jpeg(path, models.recipe.frames), together))
        jpegs = [file for file in found if not isinstance(file, str)]
        damaged += [file for file in found if isinstance(file, str)]
        read += [p for p, file in zip(together, found, strict=True) if not isinstance(file, str)]
        if jpegs:
            parts.append(_predicted(jpegs, models, pool))
        progressed(min(start + _TOGETHER, len(paths)), len(paths))
    probabilities = np.concatenate(parts)
    # As the evaluate stage has it.
    best = probabilities.argmax(axis=1).astype(np.int64)
    classified = abstaining(best, probabilities, abstain)
    return ClassifiedImages(classes, tuple(read), classified, probabilities, tuple(damaged))


def _jpeg(path: Path, frames: FramesParams) -> NDArray[np.uint8] | str:
    """The bytes of the JPEG that the frames stage would keep, or what is wrong with the file."""
    try:
        # A copy, because torch wants arrays that it could write to.
        return np.frombuffer(picture_in(path, frames).jpeg, dtype=np.uint8).copy()
    except PipelineError as error:
        return f"{path}: {error}"


def _predicted(
    jpegs: Sequence[NDArray[np.uint8]], models: Loaded, pool: ThreadPoolExecutor
) -> NDArray[np.float64]:
    rows = np.arange(len(jpegs))[:, None]
    features = [
        stored_as(of_views(jpegs.__getitem__, rows, by, pool), by.dtype) for by in models.writers
    ]
    sequence = Samples(
        video="images",
        features=np.concatenate(features, axis=1),
        target=FrameTarget(np.full(len(jpegs), -1, dtype=np.int64)),
        time_s=np.arange(len(jpegs), dtype=np.float64),  # an image is shown for a second
        fps=models.recipe.fps,
        weights_hash=str(models.header["weights_hash"]),
        fingerprint="",
    )
    found = predict(models.network, models.header, sequence, models.device)
    return found.known_probabilities.astype(np.float64)
