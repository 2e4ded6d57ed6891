"""Which frames stand for all others: to choose the scales of int8, and to see what it cost."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import PipelineError

# Operations differ more than the frames of one do, so rather more videos than more frames.
VIDEOS = 8
FRAMES_PER_VIDEO = 16
# Of each video, to compare int8 with fp32; a batch of fp32 costs little beside a whole video.
COMPARED_FRAMES = 16


def evenly_spaced(samples: NDArray[np.int64], wanted: int) -> NDArray[np.int64]:
    """Up to `wanted` of these samples, evenly spaced, the first and the last among them.

    >>> evenly_spaced(np.arange(10), 4).tolist()
    [0, 3, 6, 9]
    """
    rows = np.linspace(0, len(samples) - 1, min(wanted, len(samples))).round().astype(np.int64)
    return samples[np.unique(rows)]


def quantisation_videos(fingerprints: Mapping[Path, str], training: set[str]) -> list[Path]:
    """The containers whose frames decide the scales of int8; all are training videos.

    Those with the VIDEOS smallest fingerprints of their frames: as good as drawn, the same on
    every machine, and one more training video rarely changes the choice, which would compute all
    features anew.

    Args:
        fingerprints: Of the frames of each container.
        training: Names of the training videos.

    Raises:
        PipelineError: There are no frames of any training video.
    """
    found = [path for path in fingerprints if path.stem in training]
    if not found:
        raise PipelineError(
            "params.yaml: features.precision: int8 takes its scales from training videos, and "
            "none of them has frames. Allowed without training videos: fp32, bf16."
        )
    return sorted(found, key=lambda path: fingerprints[path])[:VIDEOS]
