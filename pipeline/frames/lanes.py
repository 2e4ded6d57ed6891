"""Work on several things side by side in threads, results in order, memory bounded."""

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from itertools import count
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")

# Results that may wait for the consumer in one lane.
_WAITING = 64
_END = object()


def side_by_side(
    tasks: Sequence[T],
    worker: Callable[[], AbstractContextManager[Callable[[T], Iterator[R]]]],
    workers: int,
) -> Iterator[R]:
    """The results of all tasks, in the order of the tasks, made by several threads.

    A task may have any number of results. Its thread waits once `_WAITING` of them were not
    taken, and at most twice as many tasks are begun as there are threads: memory does not grow with
    the number of tasks or of results.

    Args:
        tasks: What to do.
        worker: Opens what one thread needs; gives the function that does a task.
        workers: Number of threads.

    Raises:
        Exception: Whatever a task raises, after the results that come before it.
    """
    lanes: list[queue.Queue[Any]] = [queue.Queue(_WAITING) for _ in tasks]
    numbers = count()
    begun = threading.Semaphore(2 * workers)
    stop = threading.Event()

    def put(lane: "queue.Queue[Any]", item: Any) -> None:
        while not stop.is_set():
            try:
                return lane.put(item, timeout=0.1)
            except queue.Full:
                continue

    def run() -> None:
        lane = lanes[0]
        try:
            with worker() as work:
                while True:
                    # Before a task is taken: the consumer would wait for a thread that took one
                    # and then waits here, while the other threads use up what may be begun.
                    begun.acquire()
                    # next() of itertools.count is one step for the interpreter: no task is done
                    # twice.
                    number = next(numbers)
                    if stop.is_set() or number >= len(tasks):
                        begun.release()  # so that the next thread that waits sees the end too
                        return
                    lane = lanes[number]
                    for result in work(tasks[number]):
                        put(lane, (result,))
                    put(lane, _END)
        except BaseException as error:
            put(lane, error)

    with ThreadPoolExecutor(workers) as pool:
        for _ in range(workers):
            pool.submit(run)
        try:
            for lane in lanes:
                while (item := lane.get()) is not _END:
                    if isinstance(item, BaseException):
                        raise item
                    yield item[0]
                begun.release()
        finally:
            stop.set()
            # Threads that wait to begin may go.
            begun.release(workers)
