"""Items as tasks of Ray: on a cluster, or on a local one that is started for them."""

import logging
import os
import socket
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pipeline.errors import PipelineError
from pipeline.executors.worker import (
    Answer,
    LostWorker,
    Outcome,
    outcome_of,
    packed,
    perform,
    site,
)
from pipeline.runtime import Needs, cores

_TRIES = 3
_GB = 2**30
# Tasks beyond those that run, so that a worker that becomes free finds the next one.
_WAITING = 16
# Seconds after which the cluster is asked for its nodes again.
_REFRESH_S = 2.0
_ANSWER_S = 5.0
# Results are notes of one line: what Ray keeps them in may be small.
_OBJECTS_BYTES = 100 * 2**20


def run(
    function: Callable[[Any], Any],
    items: Sequence[Any],
    needs: Needs,
    address: str,
    say: Callable[[str], None],
) -> Generator[tuple[int, Outcome], None, None]:
    """Do every item as a task of Ray; see pipeline.executors.elsewhere.

    Ray itself tries a task again when its worker or node is lost or out of memory.

    Args:
        function: Does an item.
        items: In the order in which they are begun; may grow meanwhile.
        needs: Of each; Ray reserves them.
        address: Of a cluster, host:port; empty: one is started here, on the loopback interface.
        say: Takes a line for the terminal.

    Yields:
        The number of an item and what became of it.

    Raises:
        PipelineError: As in done_elsewhere.
    """
    with _connected(address) as ray:
        _check_fits(ray, needs, address, say)
        here = site()
        # Of a worker with a GPU, Ray ends the process after each task, so that no memory stays.
        task = ray.remote(perform).options(
            num_cpus=needs.cpus,
            num_gpus=needs.gpus,
            memory=int(needs.memory_gb * _GB),
            max_retries=_TRIES,
            name=getattr(function, "__name__", "item"),
        )
        limit = _limit(ray, needs)
        running: dict[Any, int] = {}
        begun = 0
        try:
            while begun < len(items) or running:
                while begun < len(items) and len(running) < limit():
                    work = packed(function, items[begun])
                    running[task.remote(here.folder, here.dvc_root, here.versions, work)] = begun
                    begun += 1
                # With a timeout, because Ctrl-C would wait for the next result otherwise.
                ended, _ = ray.wait(list(running), num_returns=1, timeout=1)
                if ended:
                    more, _ = ray.wait(list(running), num_returns=len(running), timeout=0)
                    for reference in more:
                        yield running.pop(reference), _outcome(ray, reference)
        finally:
            for reference in running:
                ray.cancel(reference, force=True)


def _outcome(ray: Any, reference: Any) -> Outcome:
    try:
        answer: Answer = ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        cause = error.cause
        if isinstance(cause, ImportError | AttributeError) and "pipeline" in str(cause):
            raise _not_installed(cause) from None
        return Outcome(error=error)  # a mistake in the code: its traceback is in it
    except ray.exceptions.RayError as error:
        if "No module named 'pipeline" in str(error):
            raise _not_installed(error) from None
        return Outcome(error=LostWorker(f"{type(error).__name__}: {_first_line(error)}"))
    return outcome_of(answer)


def _not_installed(error: BaseException) -> PipelineError:
    return PipelineError(
        f"a worker of Ray cannot import this package ({_first_line(error)}). Install it on all "
        "nodes, in the environment from which Ray is started."
    )


def _limit(ray: Any, needs: Needs) -> Callable[[], int]:
    """How many tasks may be under way; a node that joins or leaves changes it."""
    asked_at, limit = float("-inf"), 0

    def current() -> int:
        nonlocal asked_at, limit
        if time.monotonic() - asked_at > _REFRESH_S:
            places = sum(_places(resources, needs) for resources in _nodes(ray))
            asked_at, limit = time.monotonic(), 2 * places + _WAITING
        return limit

    return current


def _nodes(ray: Any) -> list[dict[str, float]]:
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def _places(resources: dict[str, float], needs: Needs) -> int:
    """Items that one node can do at a time."""
    wanted = {"CPU": needs.cpus, "GPU": needs.gpus, "memory": needs.memory_gb * _GB}
    return min(int(resources.get(k, 0) / value) for k, value in wanted.items() if value > 0)


def _check_fits(ray: Any, needs: Needs, address: str, say: Callable[[str], None]) -> None:
    nodes = _nodes(ray)
    if any(_places(resources, needs) for resources in nodes):
        return
    largest = {k: max(n.get(k, 0) for n in nodes) for k in ("CPU", "GPU", "memory")}
    line = (
        f"params.yaml: runtime.task: found {needs}, but the largest node has cpus: "
        f"{largest['CPU']:g}, gpus: {largest['GPU']:g}, memory_gb: {largest['memory'] / _GB:.1f}"
    )
    if not address:
        raise PipelineError(f"{line}. Ask for less.")
    say(f"{line}; waiting for one that has more")


@contextmanager
def _connected(address: str) -> Iterator[Any]:
    """Ray, connected; left as it was where the process is connected already."""
    # Of the owner of a task: without it, one that is always out of memory is tried for ever.
    os.environ.setdefault("RAY_task_oom_retries", str(_TRIES))
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Tasks without a GPU keep CUDA_VISIBLE_DEVICES as it is; Ray warns about it otherwise.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    if not address:
        # The switch by which Ray stays on 127.0.0.1 on other systems; on Linux it would listen on
        # all interfaces.
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    ray = _ray()
    if ray.is_initialized():
        yield ray
        return
    quiet = {"log_to_driver": False, "configure_logging": False, "logging_level": logging.ERROR}
    try:
        if address:
            _check_answers(address)
            ray.init(address=address, **quiet)
        else:
            ray.init(
                address="local",
                num_cpus=cores(),
                include_dashboard=False,
                object_store_memory=_OBJECTS_BYTES,
                _node_ip_address="127.0.0.1",
                **quiet,
            )
    except (RuntimeError, ConnectionError, ValueError, TimeoutError) as error:
        ray.shutdown()
        where = f"params.yaml: runtime.address: {address}" if address else "Ray on this machine"
        raise PipelineError(
            f"{where}: {_first_line(error)}. The driver must run on a node of the cluster, with "
            "the cluster's versions of Ray and Python and, if it has a token, with "
            "RAY_AUTH_MODE=token; see docs/cluster.md."
        ) from None
    try:
        yield ray
    finally:
        ray.shutdown()


def _ray() -> Any:
    try:
        import ray
        import ray.exceptions
    except ImportError:
        raise PipelineError(
            "params.yaml: runtime.executor: found ray, which is not installed. "
            "`pip install 'surgical-phase-pipeline[ray]'`, or take runtime.executor: local."
        ) from None
    # It would word every start, and the progress of the stage is what counts.
    logging.getLogger("ray").setLevel(logging.ERROR)
    return ray


def _check_answers(address: str) -> None:
    """Within seconds; Ray itself tries for a minute."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), _ANSWER_S).close()
    except OSError as error:
        raise PipelineError(
            f"params.yaml: runtime.address: nothing answers at {address} ({error}). Start Ray "
            "there (`ray start --head --port=6379`), or leave it empty: Ray is then started on "
            "this machine alone."
        ) from None


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
