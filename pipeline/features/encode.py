"""Frames in, features out: decoding and resizing overlap the forward pass of the network."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pipeline.errors import PipelineError
from pipeline.frame_store import FrameFile, decode_jpeg
from pipeline.networks.cnn import Transform

# Batches that wait decoded while the network is busy: two hide the jitter of decoding.
_BATCHES_AHEAD = 2
# Libraries pick kernels, and with them the last bits of a result, by shape: a CPU always gets this
# one, so that features do not depend on runtime.batch. Larger batches are no faster there.
CPU_BATCH = 16


@dataclass(frozen=True)
class Encoder:
    """A network with all that decides its features.

    Attributes:
        network: Images (B, 3, H, W) float to features (B, D).
        transform: What its weights expect of an image.
        precision: "fp32" or "bf16".
        device: Where it runs.
        batch: Images per forward pass.
    """

    network: nn.Module
    transform: Transform
    precision: str
    device: torch.device
    batch: int

    def __post_init__(self) -> None:
        self.network.eval().to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.inference_mode()
    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Features of up to `batch` prepared images (B, 3, H, W) uint8: (B, D) float32, CPU.

        A short batch is filled up, so that the last frames of a video meet the same kernels.
        """
        count = len(images)
        if count < self.batch:
            filler = images[:1].expand(self.batch - count, -1, -1, -1)
            images = torch.cat([images, filler])
        images = images.to(self.device, non_blocking=True)
        pixels = self.transform.normalise(images).contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            features: torch.Tensor = self.network(pixels)
        return features[:count].float().cpu()


def encode(frames: FrameFile, encoder: Encoder, pool: ThreadPoolExecutor) -> NDArray[np.float32]:
    """Features of every frame, in order.

    Args:
        frames: The frames of one video.
        encoder: Network and transform.
        pool: Threads that decode JPEG and resize.

    Returns:
        (T, D) float32.

    Raises:
        PipelineError: A frame cannot be decoded, or the device has too little memory.
    """
    parts = []
    for images in _ahead(frames, encoder, pool):
        try:
            parts.append(encoder(images).numpy())
        except torch.OutOfMemoryError:
            raise PipelineError(
                f"{frames.path}: the device ran out of memory with runtime.batch: "
                f"{encoder.batch}. Halve it; features do not depend on it."
            ) from None
    return np.concatenate(parts)


def _ahead(frames: FrameFile, encoder: Encoder, pool: ThreadPoolExecutor) -> Iterator[torch.Tensor]:
    """Prepared batches (B, 3, H, W) uint8, while the next ones are being decoded."""
    waiting: deque[list[Future[torch.Tensor]]] = deque()
    for start in range(0, len(frames), encoder.batch):
        # HDF5 is read here, by one thread: its library is not made for several.
        encoded = [frames.jpeg(i) for i in range(start, min(start + encoder.batch, len(frames)))]
        waiting.append([pool.submit(_prepare, jpeg, encoder.transform.prepare) for jpeg in encoded])
        if len(waiting) > _BATCHES_AHEAD:
            yield torch.stack([future.result() for future in waiting.popleft()])
    while waiting:
        yield torch.stack([future.result() for future in waiting.popleft()])


def _prepare(jpeg: NDArray[Any], prepare: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    return prepare(torch.from_numpy(decode_jpeg(jpeg)).permute(2, 0, 1))
