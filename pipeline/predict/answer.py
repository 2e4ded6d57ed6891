"""One answer to a whole video, with what it was made from."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class VideoAnswer:
    """What is predicted of a video as a whole.

    Attributes:
        target: What is asked, a column of the training project's data/index/videos.csv.
        scale: "nominal", "ordinal" (the order of the classes means something) or "number".
        classes: Names in class order; none for a number.
        prediction: The class or the number; None where the model abstains.
        probabilities: (C,) float64 of the classes, sum 1; none for a number.
        fps: Samples per second.
        time_s: (T,) float64 seconds from the first frame, strictly increasing.
        attention: (T,) float64, how much each sample counted, sum 1.
        warnings: What makes the answer less certain than the model's figures say, a line each.
    """

    target: str
    scale: str
    classes: tuple[str, ...]
    prediction: str | float | None
    probabilities: NDArray[np.float64]
    fps: float
    time_s: NDArray[np.float64]
    attention: NDArray[np.float64]
    warnings: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.time_s)


def most_attended(
    attention: NDArray[np.float64], wanted: int = 5, apart: float = 0.05
) -> list[int]:
    """The samples that counted most, in the order of the video.

    Args:
        attention: (T,).
        wanted: How many at most.
        apart: Share of the video between two of them at least, because neighbours are alike.
    """
    chosen: list[int] = []
    for sample in np.argsort(-attention, kind="stable").tolist():
        if len(chosen) == wanted:
            break
        if all(abs(sample - other) > apart * len(attention) for other in chosen):
            chosen.append(sample)
    return sorted(chosen)
