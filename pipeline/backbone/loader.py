"""Frames from their containers, decoded and prepared in threads while the network is busy."""

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.backbone.labelled_frames import LabelledFrames
from pipeline.errors import PipelineError
from pipeline.frame_store import FrameFile, decode_jpeg
from pipeline.networks.backbones.transform import Transform

# Batches that wait prepared; more only hold memory.
_BATCHES_AHEAD = 3
# Containers kept open, since opening one takes longer than reading a frame. Some systems allow a
# process no more than 256 open files.
_OPEN_FILES = 128

Prepare = Callable[[NDArray[np.uint8], int], torch.Tensor]


def load(
    frames: LabelledFrames,
    batches: Iterable[NDArray[np.intp]],
    prepare: Prepare,
    workers: int,
) -> Iterator[torch.Tensor]:
    """The images of each batch, or the clips, in order.

    Threads, not processes: OpenCV decodes and resizes without Python's lock, and nothing has to
    be copied from one process to another.

    Args:
        frames: Where the frames are.
        batches: Rows of `frames`, a batch each.
        prepare: A frame (H, W, 3) uint8 and its row to an image (3, crop, crop) uint8. All frames
            of a clip come with the same row.
        workers: Threads.

    Yields:
        (B, 3, crop, crop) uint8; of clips (B, L, 3, crop, crop).

    Raises:
        PipelineError: A frame is damaged; names its container.
    """
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(workers))
        files = _OpenFiles(_OPEN_FILES)
        stack.callback(files.close)
        waiting: deque[list[Future[torch.Tensor]]] = deque()

        def work(jpegs: list[NDArray[np.uint8]], row: int) -> torch.Tensor:
            try:
                images = [prepare(decode_jpeg(jpeg), row) for jpeg in jpegs]
            except PipelineError as error:
                path = frames.containers[int(frames.video[row])]
                raise PipelineError(f"{path}: {error}") from None
            return images[0] if frames.clips is None else torch.stack(images)

        # Runs before the pool's own exit, which waits for what was submitted.
        stack.callback(lambda: [f.cancel() for batch in waiting for f in batch])
        for batch in batches:
            futures = []
            for row in batch:
                # HDF5 is read here, by one thread: its library is not made for several.
                file = files.open(frames.containers[int(frames.video[row])])
                wanted = [frames.sample[row]] if frames.clips is None else frames.clips[row]
                jpegs = [file.jpeg(int(number)) for number in wanted]
                futures.append(pool.submit(work, jpegs, int(row)))
            waiting.append(futures)
            if len(waiting) > _BATCHES_AHEAD:
                yield torch.stack([future.result() for future in waiting.popleft()])
        while waiting:
            yield torch.stack([future.result() for future in waiting.popleft()])


def evaluating(transform: Transform) -> Prepare:
    """A frame and its row to what the features stage shows a network of it."""

    def prepare(image: NDArray[np.uint8], row: int) -> torch.Tensor:
        return transform.prepare(torch.from_numpy(image).permute(2, 0, 1))

    return prepare


def to_device(images: torch.Tensor, device: torch.device) -> torch.Tensor:
    """The images there; a GPU may still be busy with the step before while they are copied."""
    if device.type == "cuda":
        images = images.pin_memory()  # a copy from other memory would wait for that step
    return images.to(device, non_blocking=True)


class _OpenFiles:
    """Containers that stay open, so many at most: the one used longest ago is closed first."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._files: OrderedDict[Path, FrameFile] = OrderedDict()

    def open(self, path: Path) -> FrameFile:
        if path in self._files:
            self._files.move_to_end(path)
            return self._files[path]
        if len(self._files) == self._most:
            _close(self._files.popitem(last=False)[1])
        self._files[path] = FrameFile(path)
        return self._files[path]

    def close(self) -> None:
        while self._files:
            _close(self._files.popitem()[1])


def _close(file: FrameFile) -> None:
    file.__exit__(None, None, None)
