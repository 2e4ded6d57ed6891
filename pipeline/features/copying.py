"""Batches to a GPU and features back, so that neither copy holds up the forward pass."""

import functools
from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray


def on_device(batches: Iterator[torch.Tensor], device: torch.device) -> Iterator[torch.Tensor]:
    """The same batches on the device, the next one being copied while one is worked on.

    Args:
        batches: Images in pinned memory when the device is a GPU.
        device: On a CPU there is nothing to copy.
    """
    side = side_stream(device)
    if side is None:
        yield from batches
        return
    ready: tuple[torch.Tensor, torch.cuda.Event] | None = None
    for batch in batches:
        with torch.cuda.stream(side):
            # The allocator keeps the pinned source until the copy is over.
            copied = batch.to(device, non_blocking=True)
            following = copied, side.record_event()
        if ready is not None:
            yield awaited(*ready)
        ready = following
    if ready is not None:
        yield awaited(*ready)


def fetched(features: torch.Tensor) -> Callable[[], NDArray[np.float32]]:
    """Begin to copy features to the host; what is returned waits for this copy and gives them.

    A plain copy would also wait for the batch that was started after this one.
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
def side_stream(device: torch.device) -> torch.cuda.Stream | None:
    """The stream beside that of the forward pass; none on a CPU.

    One for all videos: the memory that torch keeps for the next batch belongs to its stream.
    """
    if device.type != "cuda":
        return None
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


def awaited(batch: torch.Tensor, made: torch.cuda.Event) -> torch.Tensor:
    """A batch made on a side stream, for the current one, which waits for it; the host does not."""
    stream = torch.cuda.current_stream(batch.device)
    stream.wait_event(made)
    # It was allocated on the side stream, which may reuse its memory only when this one is done.
    batch.record_stream(stream)
    return batch
