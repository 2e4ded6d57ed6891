"""The phases of a video, by sample and as segments."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import PipelineError
from pipeline.scored_video import Probabilities
from pipeline.segments import Labels, segments


@dataclass(frozen=True)
class Segment:
    """A stretch of one class.

    Attributes:
        start_s: Seconds from the first frame.
        end_s: Where the next sample begins.
        label: The class.
        confidence: Mean probability of the class over the stretch.
    """

    start_s: float
    end_s: float
    label: str
    confidence: float


@dataclass(frozen=True)
class Prediction:
    """The phases of a video.

    Attributes:
        classes: Names in class order.
        fps: Samples per second.
        time_s: (T,) float64 seconds from the first frame, strictly increasing.
        classified: (T,) int64, the class of each sample; -1 where the model abstains.
        probabilities: (T, C) float32, rows sum to 1.
        warnings: What makes the prediction less certain than the model's figures say, a line each.
    """

    classes: tuple[str, ...]
    fps: float
    time_s: NDArray[np.float64]
    classified: Labels
    probabilities: Probabilities
    warnings: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.time_s)

    @property
    def labels(self) -> list[str]:
        """The class of each sample by name, T of them; empty where the model abstains."""
        names = (*self.classes, "")
        return [names[number] for number in self.classified.tolist()]

    @property
    def segments(self) -> list[Segment]:
        """The stretches of one class, in order; there is a gap where the model abstains."""
        ends_s = np.append(self.time_s[1:], self.time_s[-1:] + 1 / self.fps)
        runs = segments(self.classified).without(-1)
        return [
            Segment(
                start_s=float(self.time_s[start]),
                end_s=float(ends_s[end - 1]),
                label=self.classes[label],
                confidence=float(self.probabilities[start:end, label].mean(dtype=np.float64)),
            )
            for label, start, end in zip(
                runs.label.tolist(), runs.start.tolist(), runs.end.tolist(), strict=True
            )
        ]


def check_abstention(abstain: float | None, header: Mapping[str, Any]) -> None:
    """Whether a model can abstain below a probability.

    Args:
        abstain: The probability; None: it never abstains.
        header: Of the temporal model.

    Raises:
        PipelineError: It is no probability, or the model gives none with its answer.
    """
    if abstain is None:
        return
    if not 0 <= abstain <= 1:  # true of NaN
        raise PipelineError(
            f"--abstain: found {abstain}, but it is a probability. Allowed: 0 to 1, such as 0.6."
        )
    if not header["classes"]:
        raise PipelineError(
            f"--abstain: found {abstain}, but these models predict {header['task']['target']}, a "
            "number, which comes without a probability. Leave it out."
        )


def abstaining(classified: Labels, probabilities: Probabilities, least: float | None) -> Labels:
    """The classes, with -1 where even the most probable one is not probable enough.

    Args:
        classified: (T,) classes.
        probabilities: (T, C).
        least: Probability that the best class must have; None keeps all.
    """
    if least is None:
        return classified
    return np.where(probabilities.max(axis=1) < least, -1, classified).astype(np.int64)
