"""Several GPUs: one process each, which takes video after video."""

import multiprocessing
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from dataclasses import replace
from multiprocessing.queues import Queue
from typing import NamedTuple

import torch

from pipeline.features.build import Plan
from pipeline.features.fitting_batch import FittingWriter
from pipeline.features.video import MissingVideo


class _Process(NamedTuple):
    """What a process was started with.

    Attributes:
        plan: What it builds.
        number: From 0; the first one speaks for all.
        device: The one that is its.
        pool: Its threads.
    """

    plan: Plan
    number: int
    device: torch.device
    pool: ThreadPoolExecutor


# Of the process that this module was imported by, if compute_on_all started it.
_this: _Process | None = None
_write: FittingWriter | None = None


def compute_on_all(
    missing: Sequence[MissingVideo], plan: Plan, devices: Sequence[torch.device]
) -> Iterator[tuple[MissingVideo, str]]:
    """Compute each video on the next device that is free.

    The bytes are those of one process with this device. After a failure the videos under way are
    finished, the others are not begun.

    Args:
        missing: The videos.
        plan: How their features are made.
        devices: One process each; the same one may be named twice.

    Yields:
        A finished video and its note, in the order of completion.

    Raises:
        PipelineError: As pipeline.features.video.write_video.
    """
    # Workers and threads are those of the machine, so the processes share them.
    runtime = plan.runtime
    share = {
        "workers": max(1, runtime.worker_count // len(devices)),
        "threads": max(1, runtime.thread_count // len(devices)),
    }
    plan = replace(plan, runtime=runtime.model_copy(update=share))
    context = multiprocessing.get_context("spawn")  # CUDA does not survive a fork
    free: Queue[tuple[int, torch.device]] = context.Queue()
    for numbered in enumerate(devices):
        free.put(numbered)
    with ProcessPoolExecutor(
        len(devices), mp_context=context, initializer=_start, initargs=(plan, free)
    ) as processes:
        running = {processes.submit(_encode, video): video for video in missing}
        try:
            for future in as_completed(running):
                yield running[future], future.result()
        except BaseException:
            processes.shutdown(wait=True, cancel_futures=True)
            raise


def _start(plan: Plan, free: "Queue[tuple[int, torch.device]]") -> None:
    """Take a device that no other process has."""
    global _this
    number, device = free.get()
    _this = _Process(plan, number, device, ThreadPoolExecutor(plan.runtime.worker_count))


def _encode(video: MissingVideo) -> str:
    global _write
    assert _this is not None
    if _write is None:
        # Not in _start: the pool would break there without a word of what went wrong.
        if _this.device.type == "cuda":
            torch.cuda.set_device(_this.device)
        say = _to_stderr if _this.number == 0 else _nowhere
        _write = FittingWriter(_this.plan, _this.device, _this.pool, say)
    return _write(video)


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _nowhere(line: str) -> None:
    """What one device has to say, the others would repeat."""
