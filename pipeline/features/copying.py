"""Batches to a GPU and features back, so that neither copy holds up the forward pass."""

import functools
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray


class Batch(NamedTuple):
    """Images for one forward pass.

    Attributes:
        images: (batch, 3, crop_px, crop_px) uint8.
        num_images: How many of them are images; the rest fills the batch up.
    """

    images: torch.Tensor
    num_images: int


def on_device(batches: Iterator[Batch], device: torch.device) -> Iterator[Batch]:
    """The same batches on the device; the next one is copied while one is worked on.

    Args:
        batches: In pinned memory when the device is a GPU.
        device: On a CPU there is nothing to copy.
    """
    stream = copy_stream(device)
    if stream is None:
        yield from batches
        return
    ready: tuple[Batch, torch.cuda.Event] | None = None
    for images, num_images in batches:
        with torch.cuda.stream(stream):
            # The allocator keeps the pinned source until the copy is over.
            copied = Batch(images.to(device, non_blocking=True), num_images)
            following = copied, stream.record_event()
        if ready is not None:
            yield awaited(*ready)
        ready = following
    if ready is not None:
        yield awaited(*ready)


def fetched(features: torch.Tensor) -> Callable[[], NDArray[np.float32]]:
    """Begin to copy features to the host. A plain copy would wait for the next batch, too.

    Returns:
        A function that waits for this copy and gives its values.
    """
    if not features.is_cuda:
        return features.numpy
    host = torch.empty(features.shape, dtype=features.dtype, pin_memory=True)
    host.copy_(features, non_blocking=True)
    copied = torch.cuda.current_stream(features.device).record_event()

    def values() -> NDArray[np.float32]:
        copied.synchronize()
        return host.numpy().copy()  # pinned memory is scarce: the next batch but one gets this

    return values


@functools.cache
def copy_stream(device: torch.device) -> torch.cuda.Stream | None:
    """The stream for copies, beside that of the forward pass; None on a CPU.

    One for all videos: the memory that torch keeps for the next batch belongs to its stream.
    """
    if device.type != "cuda":
        return None
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


def awaited(batch: Batch, made: torch.cuda.Event) -> Batch:
    """A batch of another stream, for the current one, which waits for it; the host does not.

    Args:
        batch: Of which the other stream may still be making the images.
        made: Follows the images on that stream.
    """
    stream = torch.cuda.current_stream(batch.images.device)
    stream.wait_event(made)
    # The other stream may reuse its memory only when this one is done with the images.
    batch.images.record_stream(stream)
    return batch
