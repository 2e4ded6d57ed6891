"""Features that stay on a GPU for a whole training, as far as it has room for them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pipeline.sequences import Sequence as Video


@dataclass(frozen=True)
class OnDevice:
    """A video whose features lie on a device.

    Attributes:
        features: (T, D) in the type of the file.
        labels: (T,) classes, -1 where unlabelled; on the CPU.
    """

    features: torch.Tensor
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.features)

    def prefetch(self) -> None:
        """Nothing: they are where they are wanted."""


def resident(videos: Sequence["Video"], device: torch.device) -> list["Video | OnDevice"]:
    """The videos, on a GPU as many of the first as half of its free memory holds.

    The other half is for activations. A processor reads them where they are.
    """
    if device.type != "cuda":
        return list(videos)
    return within(videos, device, torch.cuda.mem_get_info(device)[0] // 2)


def within(videos: Sequence["Video"], device: torch.device, room: int) -> list["Video | OnDevice"]:
    """The videos, those moved to the device that together need no more than so many bytes."""
    placed: list[Video | OnDevice] = []
    for video in videos:
        room -= video.features.nbytes
        if room < 0:
            placed.append(video)
        else:
            placed.append(OnDevice(torch.from_numpy(video.features).to(device), video.labels))
    return placed
