"""The course of an invented operation: seven phases of varying order, repetition and length."""

from dataclasses import dataclass

import numpy as np

PHASES = (
    "Access",
    "Exploration",
    "Dissection",
    "Clipping",
    "Separation",
    "Haemostasis",
    "Retrieval",
)
# Shortest and longest run of each phase, in shares of an average run.
_LENGTH = {
    "Access": (0.6, 1.0),
    "Exploration": (0.5, 1.2),
    "Dissection": (1.0, 1.9),
    "Clipping": (0.6, 1.1),
    "Separation": (0.9, 1.6),
    "Haemostasis": (0.5, 1.2),
    "Retrieval": (0.6, 1.0),
}


@dataclass(frozen=True)
class PhaseRun:
    """A phase from start_s to end_s, in seconds."""

    phase: str
    start_s: float
    end_s: float


def course(generator: np.random.Generator, duration_s: float) -> list[PhaseRun]:
    """The runs of one operation, whole frames at 25 fps, together `duration_s` long."""
    order = ["Access", "Exploration", "Dissection"]
    if generator.random() < 0.35:
        order += ["Haemostasis", "Dissection"]
    order += ["Clipping"]
    if generator.random() < 0.3:
        order += ["Dissection", "Clipping"]
    order += ["Separation"]
    if generator.random() < 0.5:
        order += ["Haemostasis", "Separation"]
    tail = ["Haemostasis", "Retrieval"]
    if generator.random() < 0.4:
        tail.reverse()
    order += tail
    if generator.random() < 0.3:
        order += ["Exploration"]
    lengths = np.array([generator.uniform(*_LENGTH[phase]) for phase in order])
    ends = np.round(np.cumsum(lengths) / lengths.sum() * duration_s * 25) / 25
    starts = np.r_[0.0, ends[:-1]]
    return [
        PhaseRun(phase, float(start), float(end))
        for phase, start, end in zip(order, starts, ends, strict=True)
    ]
