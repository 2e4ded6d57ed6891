"""Runs of equal labels in a sequence."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Segments:
    """The runs of a label sequence, in order.

    Attributes:
        label: (R,) label of each run.
        start: (R,) first frame.
        end: (R,) frame after the last.
    """

    label: Labels
    start: Labels
    end: Labels

    def __len__(self) -> int:
        return len(self.label)

    def without(self, label: int | None) -> "Segments":
        """The runs of all other labels."""
        if label is None:
            return self
        keep = self.label != label
        return Segments(self.label[keep], self.start[keep], self.end[keep])

    def frames(self) -> Labels:
        """The label sequence again, where no run was left out."""
        return np.repeat(self.label, self.end - self.start)


def segments(labels: Labels) -> Segments:
    """The runs of a label sequence (T,)."""
    labels = np.asarray(labels, dtype=np.int64)
    if len(labels) == 0:
        return Segments(labels, labels, labels)
    start = np.flatnonzero(np.r_[True, labels[1:] != labels[:-1]]).astype(np.int64)
    return Segments(labels[start], start, np.r_[start[1:], len(labels)].astype(np.int64))
