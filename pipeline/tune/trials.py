"""What a trial is run by, and how it ended."""

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pipeline import paths

INTERRUPTED = "interrupted"
"""The reason of a trial that nobody ended; its values are run again."""


@dataclass(frozen=True)
class Outcome:
    """How a trial ended.

    Attributes:
        metrics: Content of its reports/metrics.json; None where it failed.
        reason: Why it failed; empty where it did not.
    """

    metrics: dict[str, Any] | None
    reason: str = ""


class Runner(Protocol):
    """Runs trials as DVC experiments, under names that are given to it."""

    def start(self, name: str, overrides: list[str]) -> None:
        """Begin a trial with these `key=value`."""

    def ended(self, name: str) -> Outcome | None:
        """How a trial ended, also one that an earlier process began; None while it runs."""

    def epochs(self, name: str) -> list[float]:
        """The macro F1 of the validation videos after each epoch so far."""

    def stop(self, name: str) -> None:
        """End a trial that runs, and come back when it has ended."""


def dvc(*arguments: str) -> list[str]:
    """A command line of this environment's DVC."""
    return [sys.executable, "-m", "dvc", *arguments]


def environment() -> dict[str, str]:
    """For DVC, whose stages call `python`: that of this environment."""
    return os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def result_of(name: str) -> dict[str, Any] | None:
    """What an experiment's reports/metrics.json holds; None where there is no such experiment."""
    from dvc.repo import Repo
    from dvc.scm import RevError, resolve_rev

    with Repo(".") as repo:
        try:
            files = repo.scm.get_fs(resolve_rev(repo.scm, name))
            content: dict[str, Any] = json.loads(files.read_text(str(paths.METRICS)))
        except (RevError, FileNotFoundError):
            return None
    return content


def experiments_of(study: str) -> list[str]:
    """Names of experiments that a study of this name would use again."""
    from dvc.repo import Repo

    with Repo(".") as repo:
        found = repo.experiments.ls(all_commits=True)
    names = {name for experiments in found.values() for name, _ in experiments}
    return sorted(name for name in names if re.fullmatch(rf"{re.escape(study)}-\d+", name))


def reason_in(log: str) -> str:
    """The line of a log that says why: a stage's own words before DVC's."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    exceptions = [line for line in lines if re.match(r"[A-Za-z_.]+(Error|Exception|Exit)\b", line)]
    own = [line for line in errors if not line.startswith("failed to reproduce")]
    return next(iter(own or exceptions[-1:] or errors or lines[-1:]), "it left no message")


def run_dvc(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run DVC to its end; its messages come back together."""
    return subprocess.run(
        dvc(*arguments),
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
