"""Frames of several videos, or clips that end at them, with what is known of each."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class LabelledFrames:
    """Frames of several videos, one row each.

    Attributes:
        containers: (V,) files of the videos.
        fingerprints: (V,) of their content.
        video: (N,) int64, row of `containers`.
        sample: (N,) int64, on the video's timeline.
        labels: (N,) int64 class, -1 where unlabelled.
        tools: (N, K) float32 of 0 and 1, NaN where unlabelled; K may be 0.
        clips: (N, L) int64, the frames of each row's clip on the video's timeline, the oldest
            first; None where a row is one frame.
    """

    containers: tuple[Path, ...]
    fingerprints: tuple[str, ...]
    video: NDArray[np.int64]
    sample: NDArray[np.int64]
    labels: NDArray[np.int64]
    tools: NDArray[np.float32]
    clips: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        if not len(self.video) == len(self.sample) == len(self.labels) == len(self.tools):
            raise ValueError(
                f"{len(self.video)} videos, {len(self.sample)} samples, {len(self.labels)} labels "
                f"and {len(self.tools)} rows of tools are not aligned"
            )

    def __len__(self) -> int:
        return len(self.sample)

    def name(self, row: int) -> str:
        """`<video>_<sample>`, six digits, so that names sort as frames do."""
        return f"{self.containers[self.video[row]].stem}_{self.sample[row]:06d}"

    def labelled(self) -> "LabelledFrames":
        """Only the frames that have a class."""
        return self.take(np.flatnonzero(self.labels >= 0))

    def without_tools(self) -> "LabelledFrames":
        """The same frames with no tool known: K is 0."""
        return replace(self, tools=self.tools[:, :0])

    def take(self, rows: NDArray[np.intp]) -> "LabelledFrames":
        """These rows, in this order."""
        return replace(
            self,
            video=self.video[rows],
            sample=self.sample[rows],
            labels=self.labels[rows],
            tools=self.tools[rows],
            clips=None if self.clips is None else self.clips[rows],
        )

    def identity(self) -> list[list[str]]:
        """What a training takes of each video, without its name: for a fingerprint.

        Returns:
            For each video, in order: the fingerprint of its frames, and a hash over samples, labels
            and tools. Videos without a row are left out.
        """
        by_video = np.argsort(self.video, kind="stable")
        videos, starts = np.unique(self.video[by_video], return_index=True)
        found = []
        for video, rows in zip(videos, np.split(by_video, starts[1:]), strict=False):
            digest = hashlib.sha256()
            columns: list[NDArray[Any]] = [
                self.sample,
                self.labels,
                np.nan_to_num(self.tools, nan=-1),
            ]
            if self.clips is not None:
                columns.append(self.clips)
            for column in columns:
                digest.update(np.ascontiguousarray(column[rows]).tobytes())
            found.append([self.fingerprints[video], digest.hexdigest()])
        return found
