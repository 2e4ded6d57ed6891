"""The phases so far, in a fixed number of cells however long it takes."""

import numpy as np

_CELLS = 512


class Ribbon:
    """How often each class was predicted in each of at most 512 equal stretches of time.

    When all cells are full, each pair becomes one: memory stays the same for hours.

    Args:
        num_classes: Of the model.

    Attributes:
        samples: How many were added.
    """

    def __init__(self, num_classes: int) -> None:
        self._counts = np.zeros((_CELLS, num_classes), dtype=np.int64)
        self._per_cell = 1
        self.samples = 0

    def add(self, number: int) -> None:
        """One more sample, of the class with this number."""
        if self.samples == _CELLS * self._per_cell:
            merged = self._counts.reshape(_CELLS // 2, 2, -1).sum(axis=1)
            self._counts[: _CELLS // 2] = merged
            self._counts[_CELLS // 2 :] = 0
            self._per_cell *= 2
        self._counts[self.samples // self._per_cell, number] += 1
        self.samples += 1

    def runs(self) -> list[tuple[int, int]]:
        """Class and samples of each stretch, in order: the most frequent class of each cell."""
        totals = self._counts.sum(axis=1)
        used = np.flatnonzero(totals)
        numbers = self._counts[used].argmax(axis=1).tolist()
        found: list[tuple[int, int]] = []
        for number, samples in zip(numbers, totals[used].tolist(), strict=True):
            if found and found[-1][0] == number:
                samples += found.pop()[1]
            found.append((number, samples))
        return found
