"""Items as jobs of Slurm, submitted in arrays through submitit."""

import time
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from math import ceil
from typing import Any

from pipeline.errors import PipelineError
from pipeline.executors.worker import LostWorker, Outcome, outcome_of, packed, perform, site
from pipeline.result_store import store_root
from pipeline.runtime import Needs, SlurmParams

_TRIES = 3
# What Slurm takes in one array, where nobody set MaxArraySize.
_ARRAY = 1000
_POLL_S = 0.5


def run(
    function: Callable[[Any], Any], items: Sequence[Any], needs: Needs, slurm: SlurmParams
) -> Generator[tuple[int, Outcome], None, None]:
    """Do every item as a job; see pipeline.executors.elsewhere.

    Args:
        function: Does an item.
        items: In the order in which they are submitted; may grow meanwhile.
        needs: Of each; Slurm reserves them.
        slurm: How jobs are submitted.

    Yields:
        The number of an item and what became of it.

    Raises:
        PipelineError: As in done_elsewhere.
    """
    submitit = _submitit()
    executor, here = _executor(submitit, function, needs, slurm), site()
    # The local executor starts every job at once, so that here the number of jobs is the bound.
    most = slurm.jobs if slurm.cluster == "local" else _ARRAY
    begun = 0
    again: list[int] = []
    tries: Counter[int] = Counter()
    running: dict[Any, int] = {}
    try:
        while True:
            if len(running) <= most // 2:
                free = most - len(running)
                numbers = again[:free]
                del again[:free]
                first_try = range(begun, min(len(items), begun + free - len(numbers)))
                begun += len(first_try)
                numbers += first_try
                tries.update(numbers)
                works = [packed(function, items[number]) for number in numbers]
                for number, job in _submitted(executor, here, works, numbers):
                    running[job] = number
            if not running:
                return
            ended = [job for job in running if job.done()]
            for job in ended:
                number = running.pop(job)
                try:
                    outcome = outcome_of(job.result())
                except submitit.core.utils.FailedJobError as error:
                    # A mistake in the code: the traceback is in its words.
                    yield number, Outcome(error=error)
                except submitit.core.utils.UncompletedJobError:
                    if tries[number] < _TRIES:
                        again.append(number)
                    else:
                        log = job.paths.stderr
                        yield number, Outcome(error=LostWorker(f"{job.state}, see {log}"))
                else:
                    _forget(job)
                    yield number, outcome
            if not ended:
                time.sleep(_POLL_S)
    finally:
        for job in running:
            _cancel(job, slurm)


def _submitted(
    executor: Any, here: Any, works: list[bytes], numbers: list[int]
) -> list[tuple[int, Any]]:
    if not works:
        return []
    same = ([value] * len(works) for value in (here.folder, here.dvc_root, here.versions))
    try:
        jobs = executor.map_array(perform, *same, works)
    except RuntimeError as error:  # submitit's, with the words of sbatch
        raise PipelineError(f"Slurm takes no jobs: {error}") from None
    return list(zip(numbers, jobs, strict=True))


def _executor(
    submitit: Any, function: Callable[[Any], Any], needs: Needs, slurm: SlurmParams
) -> Any:
    try:
        executor = submitit.AutoExecutor(store_root() / "slurm", cluster=slurm.cluster)
    except RuntimeError:
        raise PipelineError(
            "params.yaml: runtime.executor: found slurm, but there is no `srun` on this machine. "
            "Run from a login node, or try it with runtime.slurm.cluster: local."
        ) from None
    asked = {"slurm_partition": slurm.partition, "slurm_account": slurm.account}
    executor.update_parameters(
        name=getattr(function, "__name__", "item"),
        cpus_per_task=needs.cpus,
        gpus_per_node=ceil(needs.gpus),
        mem_gb=needs.memory_gb,
        timeout_min=slurm.time_min,
        slurm_array_parallelism=slurm.jobs,
        **{key: value for key, value in asked.items() if value is not None},
    )
    return executor


def _submitit() -> Any:
    try:
        import submitit
    except ImportError:
        raise PipelineError(
            "params.yaml: runtime.executor: found slurm, but submitit is not installed. "
            "`pip install 'surgical-phase-pipeline[slurm]'`, or take runtime.executor: local."
        ) from None
    return submitit


def _cancel(job: Any, slurm: SlurmParams) -> None:
    if slurm.cluster == "slurm":
        job.cancel(check=False)
        return
    import psutil

    # Its interrupt is ignored where a shell has started us in the background; the number of a
    # local job is that of the process that watches over it.
    with suppress(psutil.NoSuchProcess):
        watcher = psutil.Process(int(job.job_id))
        processes = [watcher, *watcher.children(recursive=True)]
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(processes, timeout=5)
    job.done()  # notes that the process has ended


def _forget(job: Any) -> None:
    """Remove the files of a job that went well, of which there may be thousands."""
    paths = job.paths
    for path in (paths.submitted_pickle, paths.result_pickle, paths.stdout, paths.stderr):
        path.unlink(missing_ok=True)
