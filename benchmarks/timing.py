"""How long something takes, and how much memory it takes."""

import statistics
import time
from collections.abc import Callable


def median_s(work: Callable[[], object], runs: int) -> float:
    """The median wall time of some runs in seconds, after one that warms up."""
    work()
    times = []
    for _ in range(runs):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return statistics.median(times)
