"""Frames in, features out: reading, decoding and copying overlap the forward pass."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.errors import PipelineError
from pipeline.features.copying import fetched, on_device
from pipeline.features.nvjpeg import decoded_on_device
from pipeline.frame_store import FrameFile, decode_jpeg
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
        decoder: Of the JPEGs, as in params.yaml.
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
    frames: FrameFile,
    encoder: Encoder,
    pool: ThreadPoolExecutor,
    samples: NDArray[np.int64] | None = None,
) -> NDArray[np.float32]:
    """Features of the frames, in order.

    Args:
        frames: The frames of one video.
        encoder: Network and transform.
        pool: Threads that decode JPEG and resize.
        samples: Which, of those that have their frame; all of these when left out.

    Returns:
        (T, D) float32.

    Raises:
        PipelineError: A frame cannot be decoded, or the device has too little memory.
    """
    if samples is None:
        samples = frames.kept
    parts: list[NDArray[np.float32]] = []
    # The next batch is started before the last one's result is waited for: a GPU always has work.
    running: deque[Callable[[], NDArray[np.float32]]] = deque()
    try:
        for images in _inputs(frames, samples, encoder, pool):
            running.append(fetched(encoder(images)))
            if len(running) > 1:
                parts.append(running.popleft()())
        parts += [values() for values in running]
    except torch.OutOfMemoryError:
        raise PipelineError(
            f"{frames.path}: the device ran out of memory with runtime.batch: "
            f"{encoder.batch}. Halve it; features keep all but their last bits."
        ) from None
    return np.concatenate(parts)[: len(samples)]


def _inputs(
    frames: FrameFile, samples: NDArray[np.int64], encoder: Encoder, pool: ThreadPoolExecutor
) -> Iterator[torch.Tensor]:
    """Prepared batches on the device, by the way that the encoder's decoder needs."""
    match encoder.decoder:
        case "nvjpeg":
            return decoded_on_device(
                frames, samples, encoder.transform, encoder.batch, encoder.device
            )
        case "opencv":
            return on_device(batches(frames, samples, encoder, pool), encoder.device)


def batches(
    frames: FrameFile, samples: NDArray[np.int64], encoder: Encoder, pool: ThreadPoolExecutor
) -> Iterator[torch.Tensor]:
    """Prepared batches (batch, 3, H, W) uint8, channels last, while the next are being decoded.

    The last one is filled up with copies of its first image: all meet the same kernels.
    """
    side, pinned = encoder.transform.crop_px, encoder.device.type == "cuda"
    waiting: deque[tuple[torch.Tensor, list[Future[None]]]] = deque()
    for start in range(0, len(samples), encoder.batch):
        shape = (encoder.batch, side, side, 3)
        images = torch.empty(shape, dtype=torch.uint8, pin_memory=pinned).permute(0, 3, 1, 2)
        # HDF5 is read here, by one thread: its library is not made for several.
        jobs = [
            pool.submit(_prepare, frames.jpeg(sample), encoder.transform.prepare, images[row])
            for row, sample in enumerate(samples[start : start + encoder.batch])
        ]
        waiting.append((images, jobs))
        if len(waiting) > _BATCHES_AHEAD:
            yield _finished(frames, *waiting.popleft())
    while waiting:
        yield _finished(frames, *waiting.popleft())


def _prepare(
    jpeg: NDArray[Any], prepare: Callable[[torch.Tensor], torch.Tensor], into: torch.Tensor
) -> None:
    into.copy_(prepare(torch.from_numpy(decode_jpeg(jpeg)).permute(2, 0, 1)))


def _finished(frames: FrameFile, images: torch.Tensor, jobs: list[Future[None]]) -> torch.Tensor:
    for job in jobs:
        try:
            job.result()
        except PipelineError as error:
            raise PipelineError(f"{frames.path}: {error}") from None
    images[len(jobs) :] = images[0]
    return images
