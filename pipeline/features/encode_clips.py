"""Clips in, features out: each frame is decoded once, however many clips it is part of."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.features.copying import Batch, on_device
from pipeline.features.encode import Encoder, features_of
from pipeline.features.jpeg import decoded

# Batches whose frames are being decoded while the network is busy.
_BATCHES_AHEAD = 1
# Frames per forward pass on a CPU, all clips together: shapes, and with them the last bits of the
# features, must not follow runtime.batch there.
_CPU_FRAMES = 32

Read = Callable[[int], NDArray[np.uint8]]


def clips_per_batch(frames: int, images: int | None) -> int:
    """Clips per forward pass.

    Args:
        frames: L, of each clip.
        images: runtime.batch on a GPU; None on a CPU.
    """
    return max(1, (_CPU_FRAMES if images is None else images) // frames)


def encode_clips(
    read: Read, rows: NDArray[np.int64], encoder: Encoder, pool: ThreadPoolExecutor
) -> NDArray[np.float32]:
    """Features of clips, in order.

    Args:
        read: A frame's number to its JPEG file, (bytes,) uint8; called by one thread.
        rows: (T, L) numbers of the frames of each clip, ascending along both axes.
        encoder: Its network takes clips (batch, L, 3, H, W) uint8.
        pool: Threads that decode and resize.

    Returns:
        (T, D) float32.

    Raises:
        PipelineError: A frame cannot be decoded, or the device has too little memory.
    """
    return features_of(on_device(_batches(read, rows, encoder, pool), encoder.device), encoder)


def _batches(
    read: Read, rows: NDArray[np.int64], encoder: Encoder, pool: ThreadPoolExecutor
) -> Iterator[Batch]:
    """Batches (batch, L, 3, H, W) uint8, channels last; the last one is filled up."""
    window: dict[int, Future[torch.Tensor]] = {}

    def prepare(jpeg: NDArray[np.uint8]) -> torch.Tensor:
        pixels = torch.from_numpy(decoded(jpeg)).permute(2, 0, 1)
        return encoder.transform.prepare(pixels)

    waiting: deque[NDArray[np.int64]] = deque()
    for start in range(0, len(rows), encoder.batch):
        part = rows[start : start + encoder.batch]
        for number in np.unique(part).tolist():
            if number not in window:
                window[number] = pool.submit(prepare, read(number))
        waiting.append(part)
        if len(waiting) > _BATCHES_AHEAD:
            yield _stacked(waiting.popleft(), window, encoder)
    while waiting:
        yield _stacked(waiting.popleft(), window, encoder)


def _stacked(
    part: NDArray[np.int64], window: dict[int, Future[torch.Tensor]], encoder: Encoder
) -> Batch:
    """The frames of these clips side by side; those that no later clip needs are let go."""
    side = encoder.transform.crop_px
    shape = (encoder.batch, part.shape[1], side, side, 3)
    pinned = encoder.device.type == "cuda"
    batch = torch.empty(shape, dtype=torch.uint8, pin_memory=pinned).permute(0, 1, 4, 2, 3)
    for clip, numbers in enumerate(part.tolist()):
        for position, number in enumerate(numbers):
            batch[clip, position] = window[number].result()
    batch[len(part) :] = batch[0]
    for number in [n for n in window if n < part[-1, 0]]:
        del window[number]
    return Batch(batch, len(part))
