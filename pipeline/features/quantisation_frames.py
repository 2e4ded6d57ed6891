"""Which frames decide the scales of int8, and which show what it costs."""

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


def evenly_spaced(count: int, wanted: int) -> NDArray[np.int64]:
    """Up to `wanted` different samples out of `count`, evenly spread, first and last included.

    >>> evenly_spaced(10, 4).tolist()
    [0, 3, 6, 9]
    """
    return np.unique(np.linspace(0, count - 1, min(wanted, count)).round().astype(np.int64))


def quantisation_videos(fingerprints: Mapping[Path, str], training: set[str]) -> list[Path]:
    """The containers whose frames decide the scales of int8: some of the training split only.

    The VIDEOS smallest fingerprints of their frames: as good as drawn, the same on every machine,
    and a further training video rarely changes the choice, which would compute all others anew.

    Args:
        fingerprints: Of the frames of each container.
        training: Names of the training videos.

    Raises:
        PipelineError: There are no frames of any training video.
    """
    found = [path for path in fingerprints if path.stem in training]
    if not found:
        raise PipelineError(
            "params.yaml: features.precision: int8 is calibrated on training videos, and none of "
            "them has frames. Allowed without training videos: fp32, bf16."
        )
    return sorted(found, key=lambda path: fingerprints[path])[:VIDEOS]
