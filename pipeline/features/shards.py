"""Several GPUs: one process each, which take video after video."""

import multiprocessing
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from dataclasses import replace
from multiprocessing.queues import Queue
from typing import NamedTuple

import torch

from pipeline.features.build import Plan, build_writer
from pipeline.features.video import FileWriter, MissingVideo, write_video


class _Worker(NamedTuple):
    plan: Plan
    number: int
    device: torch.device
    pool: ThreadPoolExecutor


# What a process was started with, and what it built of that for its first video.
_worker: _Worker | None = None
_writer: FileWriter | None = None


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
        running = {processes.submit(_write, video): video for video in missing}
        try:
            for future in as_completed(running):
                yield running[future], future.result()
        except BaseException:
            processes.shutdown(wait=True, cancel_futures=True)
            raise


def _start(plan: Plan, free: "Queue[tuple[int, torch.device]]") -> None:
    global _worker
    number, device = free.get()
    _worker = _Worker(plan, number, device, ThreadPoolExecutor(plan.runtime.worker_count))


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _write(video: MissingVideo) -> str:
    global _writer
    assert _worker is not None
    if _writer is None:
        # Not when the process starts: the pool would break without a word of what went wrong.
        # What there is to say is the same on each device.
        if _worker.device.type == "cuda":
            torch.cuda.set_device(_worker.device)
        say = _say if _worker.number == 0 else lambda line: None
        _writer = build_writer(_worker.plan, _worker.device, _worker.pool, say)
    return write_video(video, _writer, _worker.pool)
