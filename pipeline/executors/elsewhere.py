"""Items done by other processes or machines, as `runtime.executor` says."""

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from typing import TypeVar

from pipeline.errors import PipelineError
from pipeline.executors.worker import LostWorker, Outcome
from pipeline.runtime import Needs, RuntimeParams

T = TypeVar("T")
R = TypeVar("R")


def done_elsewhere(
    function: Callable[[T], R],
    items: Sequence[T],
    needs: Needs,
    runtime: RuntimeParams,
    say: Callable[[str], None],
) -> Generator[tuple[T, Callable[[], R]], None, None]:
    """Do every item on Ray or Slurm; a bounded number of them is under way at any time.

    An item whose worker is lost is done again, up to three times, so the function must not mind: it
    writes its result by renaming. Closing the generator ends what is under way.

    Args:
        function: Of a module, not local to a function: workers import it.
        items: What pickle can hold. To a list, whoever takes the results may append further ones,
            which are begun when the next result is asked for.
        needs: Of each item.
        runtime: Which executor, and where.
        say: Takes the lines that items print to standard error.

    Yields:
        An item and a function that gives its result or raises its error, in the order of
        completion.

    Raises:
        PipelineError: The executor is not installed, does not answer or has too little for one
            item; a worker has another version of the code; or, after all other items, workers of
            some were lost again and again.
    """
    lost: list[str] = []
    with closing(_outcomes(function, items, needs, runtime, say)) as outcomes:
        for number, outcome in outcomes:
            for line in outcome.lines:
                say(line)
            if isinstance(outcome.error, LostWorker):
                lost.append(f"  {_named(items[number])}: {outcome.error}")
                continue
            yield items[number], outcome.given
    if lost:
        raise PipelineError(
            f"{len(lost)} of {len(items)} items lost their worker again and again; the others are "
            "done and kept:\n" + "\n".join(lost) + "\nIf they were killed for memory, raise "
            "runtime.task.memory_gb. Then run again."
        )


def _outcomes(
    function: Callable[[T], R],
    items: Sequence[T],
    needs: Needs,
    runtime: RuntimeParams,
    say: Callable[[str], None],
) -> Generator[tuple[int, Outcome], None, None]:
    if runtime.executor == "slurm":
        from pipeline.executors.on_slurm import run as on_slurm

        return on_slurm(function, items, needs, runtime.slurm)
    from pipeline.executors.on_ray import run as on_ray

    return on_ray(function, items, needs, runtime.address, say)


def _named(item: object) -> str:
    """What a line calls an item."""
    return str(getattr(item, "name", None) or getattr(item, "video", item))
