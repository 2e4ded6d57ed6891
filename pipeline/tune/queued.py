"""Trials side by side: DVC's queue of experiments and its workers."""

from pipeline.errors import PipelineError
from pipeline.tune.trials import INTERRUPTED, Outcome, reason_in, result_of, run_dvc


class Queued:
    """Puts trials into DVC's queue, where others may be, too.

    Args:
        jobs: Workers at most.
    """

    def __init__(self, jobs: int) -> None:
        self._jobs = jobs

    def start(self, name: str, overrides: list[str]) -> None:
        """Put a trial into the queue, and see that workers look at it.

        Raises:
            PipelineError: DVC did not take it.
        """
        settings = [part for override in overrides for part in ("-S", override)]
        put = run_dvc("exp", "run", "--queue", "-n", name, *settings)
        if put.returncode:
            raise PipelineError(f"{name}: DVC's queue did not take it: {reason_in(put.stdout)}")
        self._start_workers()

    def ended(self, name: str) -> Outcome | None:
        """From the queue; workers go on with a trial when the tune that began it was killed."""
        status = _status(name)
        if status == "Queued":
            self._start_workers()  # they leave when they find nothing for a while
        if status in ("Queued", "Running"):
            return None
        metrics = result_of(name)
        if metrics is not None:
            return Outcome(metrics)
        if status is None:
            return Outcome(None, INTERRUPTED)
        return Outcome(None, reason_in(run_dvc("queue", "logs", name).stdout))

    def epochs(self, name: str) -> list[float]:
        """None: trials in the queue are not pruned."""
        return []

    def stop(self, name: str) -> None:
        """Out of the queue, or killed where it runs."""
        if _status(name) == "Running":
            run_dvc("queue", "kill", name)
        run_dvc("queue", "remove", name)

    def _start_workers(self) -> None:
        run_dvc("queue", "start", "-j", str(self._jobs))


def _status(name: str) -> str | None:
    """Queued, Running, Success or Failed; None where the queue does not know it."""
    from dvc.repo import Repo

    with Repo(".") as repo:
        rows = repo.experiments.celery_queue.status()
    return next((str(row["status"]) for row in rows if row["name"] == name), None)
