"""Several videos at the same time, each in a process of its own."""

import multiprocessing
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing.queues import Queue
from pathlib import Path
from typing import NoReturn, TypeVar

from pipeline.errors import VideoError
from pipeline.runtime import cores

T = TypeVar("T")
Result = tuple[Path, Callable[[], T]]
Start = Callable[[int, "Queue[str]"], None]


def results_at_once(
    work: Callable[[Path], T],
    start: Start,
    videos: Sequence[Path],
    devices: Sequence[str],
    say: Callable[[str], None],
) -> Generator[Result[T], None, None]:
    """Each video with a function that gives its result or raises its error, as they finish.

    The system kills a process where memory runs out, and all others end with it. What they had not
    finished is begun again by half as many, down to one, which leaves no doubt whose fault it is.

    Args:
        work: What is done with a video; goes to other processes.
        start: Is called in each of them with its threads and with the devices that are free.
        videos: In this order.
        devices: One process each; the same one may be named twice.
        say: Takes lines for the terminal.
    """
    todo, count = list(videos), len(devices)
    while todo:
        done = []
        for video, future in _finished(work, start, todo, devices[:count]):
            if not isinstance(future.exception(), BrokenProcessPool):
                done.append(video)
                yield video, future.result
        todo = [video for video in todo if video not in done]
        if todo and count > 1:
            count //= 2
            say(
                "predict: a process was killed, most likely because memory ran out; going on with "
                f"{count} {'video' if count == 1 else 'videos'} at once (--jobs {count})"
            )
        elif todo:
            # One process takes them in their order.
            killed = todo.pop(0)
            yield killed, partial(_say_killed, killed)


def _finished(
    work: Callable[[Path], T], start: Start, videos: Sequence[Path], devices: Sequence[str]
) -> Generator[tuple[Path, Future[T]], None, None]:
    """Every video with its future, as they finish; all of them, even where a process is killed."""
    context = multiprocessing.get_context("spawn")  # neither decoders nor CUDA survive a fork
    free: Queue[str] = context.Queue()
    for device in devices:
        free.put(device)
    threads = max(1, cores() // len(devices))
    with ProcessPoolExecutor(
        len(devices), mp_context=context, initializer=start, initargs=(threads, free)
    ) as pool:
        futures: dict[Future[T], Path] = {}
        try:
            for video in videos:
                futures[pool.submit(work, video)] = video
        except BrokenProcessPool:
            pass  # the others are begun again
        try:
            for future in as_completed(futures):
                yield futures[future], future
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _say_killed(video: Path) -> NoReturn:
    raise VideoError(
        video.stem,
        f"{video}: the process that predicted it was killed, most likely because memory ran out. "
        "Free memory, set --jobs 1, and on a GPU a smaller --batch; or cut the video.",
    )
