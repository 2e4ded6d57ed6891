"""Batches to a GPU on a stream of their own, so that copies hide behind the forward pass."""

from collections.abc import Iterator

import torch


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


def side_stream(device: torch.device) -> torch.cuda.Stream | None:
    """A stream beside that of the forward pass; none on a CPU."""
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
