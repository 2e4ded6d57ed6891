"""What Ray costs and gains: speed-up over workers, and the hand-over of very many tasks.

    python benchmarks/scale.py [--workers 1 2 4 8] [--tasks 32] [--seconds 2] [--empty 100000]

Tasks sleep as long as a real one takes, so that the machine's processors do not decide: Ray is told
that it has as many as there are workers. The time begins when every worker has done a task, because
a cluster that is up has its processes. The second part hands over tasks that do nothing, and says
how the driver's memory grows meanwhile. Driver and workers share the machine here; on a cluster the
driver has its processor to itself.
"""

import argparse
import os
import time
from pathlib import Path

import psutil

from pipeline.executors.elsewhere import done_elsewhere
from pipeline.runtime import Needs, RuntimeParams

RAY = RuntimeParams(executor="ray", task=Needs(memory_gb=0.05), progress="none")


def asleep(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


def timed(seconds: list[float]) -> tuple[float, int]:
    """Seconds for these tasks, and the number of processes that did them."""
    started, processes = time.perf_counter(), set[int]()
    for _, give in done_elsewhere(asleep, seconds, RAY.task, RAY, print):
        processes.add(give())
    return time.perf_counter() - started, len(processes)


def memory_mb() -> float:
    return float(psutil.Process().memory_info().rss) / 2**20


def start(workers: int) -> None:
    """Ray on the loopback interface with so many processors, each with a process that is ready."""
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    # Workers import this file by its name.
    folder = str(Path(__file__).parent)
    os.environ["PYTHONPATH"] = os.pathsep.join([folder, os.environ.get("PYTHONPATH", "")])
    import ray

    ray.init(address="local", num_cpus=workers, include_dashboard=False, log_to_driver=False)
    while timed([0.5] * 2 * workers)[1] < workers:
        pass


def stop() -> None:
    import ray

    ray.shutdown()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--tasks", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--empty", type=int, default=100_000)
    asked = parser.parse_args()
    alone: float | None = None
    for workers in asked.workers:
        start(workers)
        seconds, _ = timed([asked.seconds] * asked.tasks)
        stop()
        alone = alone or seconds * workers
        print(
            f"{workers} workers: {asked.tasks} tasks of {asked.seconds:g} s in {seconds:.1f} s, "
            f"speed-up {alone / seconds:.2f}, {alone / seconds / workers:.0%} of ideal"
        )
    start(2)
    before = memory_mb()
    most, started = before, time.perf_counter()
    for done, _ in enumerate(done_elsewhere(asleep, [0.0] * asked.empty, RAY.task, RAY, print)):
        if done % 1000 == 0:
            most = max(most, memory_mb())
    seconds = time.perf_counter() - started
    stop()
    print(
        f"{asked.empty} empty tasks: {seconds:.1f} s, {seconds / asked.empty * 1e3:.2f} ms each; "
        f"driver {before:.0f} MB before, {most:.0f} MB at most"
    )


if __name__ == "__main__":
    # As a module of its own name, so that workers find what they are sent.
    from scale import main as run

    run()
