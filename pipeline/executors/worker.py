"""What a worker does with an item, and what it must have in common with the driver."""

import functools
import hashlib
import importlib.metadata
import io
import os
import pickle
import platform
import socket
from collections.abc import Callable
from contextlib import redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pipeline.errors import PipelineError

# Kind, value and lines: plain types, which a worker with other code can send as well.
Answer = tuple[Literal["result", "error", "wrong"], Any, list[str]]


class LostWorker(PipelineError):
    """An item whose worker, or the machine under it, went away more often than it is tried."""


@dataclass(frozen=True)
class Site:
    """Where a driver works, and with what.

    Attributes:
        folder: The project, under the same path on every node.
        dvc_root: What DVC set, or nothing.
        versions: Of all that a worker must have alike.
    """

    folder: str
    dvc_root: str | None
    versions: dict[str, str]


@dataclass(frozen=True)
class Outcome:
    """What became of an item.

    Attributes:
        result: Of the function, unless there is an error.
        error: What it raised.
        lines: What it printed to standard error.
    """

    result: Any = None
    error: BaseException | None = None
    lines: tuple[str, ...] = ()

    def given(self) -> Any:
        """The result; raises the error where there is one."""
        if self.error is not None:
            raise self.error
        return self.result


def site() -> Site:
    """That of this process."""
    return Site(str(Path.cwd()), os.environ.get("DVC_ROOT"), versions())


@functools.cache
def versions() -> dict[str, str]:
    """Of Python, torch, the package, and a hash of its files."""
    package = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(str(path.relative_to(package)).encode() + b"\0" + path.read_bytes() + b"\0")
    return {
        "Python": ".".join(platform.python_version_tuple()[:2]),
        "torch": importlib.metadata.version("torch"),
        "surgical-phase-pipeline": importlib.metadata.version("surgical-phase-pipeline"),
        "code of pipeline/": digest.hexdigest()[:12],
    }


def packed(function: Callable[[Any], Any], item: Any) -> bytes:
    """A function and its item. Unpacked after the versions are compared, because it may fail."""
    return pickle.dumps((function, item))


def perform(folder: str, dvc_root: str | None, wanted: dict[str, str], work: bytes) -> Answer:
    """Do one item, in a worker.

    Args:
        folder: As in Site, like the next two.
        dvc_root: As there.
        wanted: The driver's versions.
        work: As from `packed`.

    Returns:
        `result` and what the function returned; `error` and the PipelineError it raised; or `wrong`
        and a line, where this worker cannot do any item.
    """
    if (complaint := _complaint(folder, wanted)) is not None:
        return "wrong", complaint, []
    os.chdir(folder)
    if dvc_root is not None:
        os.environ["DVC_ROOT"] = dvc_root
    function, item = pickle.loads(work)
    said = io.StringIO()
    try:
        with redirect_stderr(said):
            result = function(item)
    except PipelineError as error:
        return "error", error, said.getvalue().splitlines()
    return "result", result, said.getvalue().splitlines()


def outcome_of(answer: Answer) -> Outcome:
    """What an answer means for the driver.

    Raises:
        PipelineError: The worker cannot do any item.
    """
    kind, value, lines = answer
    if kind == "wrong":
        raise PipelineError(value)
    if kind == "error":
        return Outcome(error=value, lines=tuple(lines))
    return Outcome(result=value, lines=tuple(lines))


def _complaint(folder: str, wanted: dict[str, str]) -> str | None:
    """Why this worker cannot work for the driver."""
    node, own = socket.gethostname(), versions()
    for name, version in wanted.items():
        if own.get(name) != version:
            return (
                f"worker on {node}: found {name} {own.get(name)}, but here it is {version}. "
                "Install the same on all nodes, restart their workers, then run again. What was "
                "finished is kept."
            )
    if not Path(folder).is_dir():
        return (
            f"worker on {node}: has no folder {folder}. The project must lie on a disk that all "
            "nodes share, under the same path."
        )
    return None
