"""Pictures drawn by a second process while the stage goes on: a report has a dozen of them."""

import functools
import multiprocessing
import signal
from collections.abc import Callable, Generator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.errors import PipelineError

Draw = Callable[..., None]


@contextmanager
def drawn_beside() -> Generator[Draw]:
    """`draw(picture, *arguments)` has another process call `picture(*arguments)`.

    All pictures are there when the context is left.

    Raises:
        PipelineError: The process was killed. What a picture raises is raised, too.
    """
    begun: list[Future[None]] = []

    def draw(picture: Callable[..., None], *arguments: Any) -> None:
        # The process stays in the folder where it was started.
        absolute = (a.resolve() if isinstance(a, Path) else a for a in arguments)
        begun.append(_painter().submit(picture, *absolute))

    try:
        yield draw
        for picture in begun:
            picture.result()
    except BrokenProcessPool as error:
        _painter.cache_clear()
        raise PipelineError(
            "The process that draws the pictures was killed, most likely because memory ran out. "
            "Free memory and run the stage again."
        ) from error
    finally:
        for picture in begun:
            picture.cancel()


@functools.cache
def _painter() -> ProcessPoolExecutor:
    """Kept for the next report of this process: it takes a second to load Matplotlib."""
    # Spawned: torch's threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(1, mp_context=context, initializer=_leave_interrupts)


def _leave_interrupts() -> None:
    """Ctrl-C reaches both processes; the stage alone answers it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
