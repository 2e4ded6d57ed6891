"""Images in, features out: decoding, copying and the forward pass overlap."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.errors import PipelineError
from pipeline.features.copying import Batch, fetched, on_device
from pipeline.features.jpeg import decoded
from pipeline.features.nvjpeg import decoded_on_device
from pipeline.networks.backbones.transform import Transform

# Batches that wait decoded while the network is busy: two hide the jitter of decoding.
_BATCHES_AHEAD = 2
# Libraries pick kernels, and with them the last bits of a result, by shape: a CPU always gets this
# one, so that features do not depend on runtime.batch. Larger batches are hardly faster there.
CPU_BATCH = 16


@dataclass(frozen=True)
class Encoder:
    """A network with all that decides its features.

    Attributes:
        network: Images (batch, 3, crop_px, crop_px) uint8 on the device to features (batch, D).
        transform: What its weights expect of an image.
        device: Where it runs.
        batch: Images per forward pass, always: short batches are filled up.
        decoder: Reads JPEG files, as in params.yaml.
    """

    network: Callable[[torch.Tensor], torch.Tensor]
    transform: Transform
    device: torch.device
    batch: int
    decoder: Literal["opencv", "nvjpeg"] = "opencv"

    @torch.inference_mode()
    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Features (batch, D) float32, on the device, of images (batch, 3, H, W) uint8 there."""
        # A copy, because a captured CUDA graph writes its next result over this one.
        return self.network(images).to(torch.float32, copy=True)


def encode(
    images: Iterable[NDArray[np.uint8]], encoder: Encoder, pool: ThreadPoolExecutor
) -> NDArray[np.float32]:
    """Features of images, in order.

    Args:
        images: (H, W, 3) uint8 RGB each, at least one. They are taken a few batches ahead.
        encoder: Network and transform.
        pool: Threads that resize.

    Returns:
        (T, D) float32.

    Raises:
        PipelineError: The device has too little memory.
    """
    return features_of(on_device(batches(images, encoder, pool), encoder.device), encoder)


def encode_jpegs(
    jpegs: Iterable[NDArray[np.uint8]], encoder: Encoder, pool: ThreadPoolExecutor
) -> NDArray[np.float32]:
    """Features of JPEG files, in order, read by the encoder's decoder.

    Args:
        jpegs: (bytes,) uint8 each, at least one. They are taken a few batches ahead, by one thread.
        encoder: Network and transform.
        pool: Threads that decode and resize.

    Returns:
        (T, D) float32.

    Raises:
        PipelineError: One cannot be decoded, or the device has too little memory.
    """
    match encoder.decoder:
        case "nvjpeg":
            ready = decoded_on_device(jpegs, encoder.transform, encoder.batch, encoder.device)
        case "opencv":
            ready = on_device(batches(jpegs, encoder, pool, decoded), encoder.device)
    return features_of(ready, encoder)


def batches(
    images: Iterable[NDArray[np.uint8]],
    encoder: Encoder,
    pool: ThreadPoolExecutor,
    read: Callable[[NDArray[np.uint8]], NDArray[np.uint8]] = np.asarray,
) -> Iterator[Batch]:
    """Prepared batches (batch, 3, H, W) uint8, channels last, while the next are being prepared.

    The last one is filled up with copies of its first image: all meet the same kernels.

    Args:
        images: Whatever `read` turns into (H, W, 3) uint8 RGB.
        encoder: Says how images are prepared.
        pool: Threads that read and resize.
        read: Called in the threads; gives (H, W, 3) uint8 RGB.
    """
    side, pinned = encoder.transform.crop_px, encoder.device.type == "cuda"

    def prepare(image: NDArray[np.uint8], into: torch.Tensor) -> None:
        pixels = torch.from_numpy(read(image)).permute(2, 0, 1)
        into.copy_(encoder.transform.prepare(pixels))

    remaining = iter(images)
    waiting: deque[tuple[torch.Tensor, list[Future[None]]]] = deque()
    # What `images` reads from, such as HDF5, is read here, by one thread.
    while chosen := list(islice(remaining, encoder.batch)):
        shape = (encoder.batch, side, side, 3)
        batch = torch.empty(shape, dtype=torch.uint8, pin_memory=pinned).permute(0, 3, 1, 2)
        running = [pool.submit(prepare, image, batch[row]) for row, image in enumerate(chosen)]
        waiting.append((batch, running))
        if len(waiting) > _BATCHES_AHEAD:
            yield _filled_up(*waiting.popleft())
    while waiting:
        yield _filled_up(*waiting.popleft())


def _filled_up(images: torch.Tensor, running: list[Future[None]]) -> Batch:
    for future in running:
        future.result()
    images[len(running) :] = images[0]
    return Batch(images, len(running))


def features_of(ready: Iterator[Batch], encoder: Encoder) -> NDArray[np.float32]:
    """The forward passes of all batches, which are on the device.

    Raises:
        PipelineError: The device has too little memory.
    """
    parts: list[NDArray[np.float32]] = []
    # The next batch is started before the last one's result is waited for: a GPU always has work.
    running: deque[tuple[Callable[[], NDArray[np.float32]], int]] = deque()
    try:
        for images, count in ready:
            running.append((fetched(encoder(images)), count))
            if len(running) > 1:
                values, rows = running.popleft()
                parts.append(values()[:rows])
        parts += [values()[:rows] for values, rows in running]
    except torch.OutOfMemoryError:
        raise PipelineError(
            f"the device ran out of memory with runtime.batch: {encoder.batch}. Halve it; features "
            "keep all but their last bits."
        ) from None
    return np.concatenate(parts)
