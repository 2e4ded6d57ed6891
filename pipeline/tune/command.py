"""What `python -m pipeline tune` does, from its arguments to the last line."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from pipeline import paths
from pipeline.errors import PipelineError
from pipeline.evaluate.parameters import digest, flat_parameters
from pipeline.metrics.keys import is_in
from pipeline.metrics.short_names import SHORT_NAMES, full_key, rises
from pipeline.metrics.table import METRICS
from pipeline.result_store import store_root
from pipeline.runtime import RuntimeParams, read_runtime
from pipeline.settings import read_params, read_value
from pipeline.tune.check import check_space
from pipeline.tune.space import Space, read_space
from pipeline.tune.trials import Runner, experiments_of

REPORTS = paths.REPORTS / "tune"


def tune(
    source: Path, trials: int, metric: str, jobs: int, seed: int, name: str, prune: bool
) -> None:
    """Run trials until the study has so many, print a line for each, write the report.

    Args:
        source: File of the space.
        trials: In all, those of earlier calls included.
        metric: Of the validation videos: a key of reports/metrics.json or a short name.
        jobs: Trials at a time.
        seed: Of the sampler.
        name: Of the study and, with a number, of its experiments.
        prune: Whether hopeless trials are ended early.

    Raises:
        PipelineError: Something of this cannot be, or another tune runs in this repository.
    """
    key = validation_key(metric)
    if not re.fullmatch(r"[A-Za-z0-9][\w-]*", name):
        raise PipelineError(f"--name: found {name!r}. Allowed: letters, digits, - and _.")
    if prune and jobs > 1:
        raise PipelineError(
            "--prune: trials in DVC's queue are not pruned. Leave it out, or take --jobs 1."
        )
    if prune and not rises(key):
        raise PipelineError(f"--prune: goes by macro F1, which says nothing about {key}.")
    space = read_space(source)
    check_space(space, source)
    runtime = read_runtime()
    away = runtime.executor != "local" and _share_features(space)
    if prune and away:
        raise PipelineError(
            f"--prune: params.yaml has runtime.executor: {runtime.executor}, where trainings are "
            "not pruned. Leave it out, or take runtime.executor: local."
        )
    check_data_root(read_value("data.root", str))
    _need_optuna()
    from pipeline.tune.report import write_report
    from pipeline.tune.study import Search, open_study, run_trials

    search = Search(name, space, key, seed, _unsearched(space))
    folder = store_root() / "tune" / name
    # So that a trial is ended with the command that began it, as with Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with _alone():
        if not folder.exists():
            _check_names(name)
        study = open_study(folder, search)
        try:
            with _away(folder, runtime) if away else nullcontext(_runner(jobs, folder)) as runner:
                run_trials(study, search, runner, trials, jobs, prune, _say)
        finally:
            best = write_report(study, search, REPORTS / name)
    print(f"Report: {REPORTS / name}")
    print(f"Best: {best}" if best else "No trial has a value.")


def validation_key(metric: str) -> str:
    """The dotted key in reports/metrics.json for what the user typed.

    Raises:
        PipelineError: It is of the test videos, or there is no such metric.
    """
    group, _, rest = metric.partition(".")
    if group == "test":
        raise PipelineError(
            f"--metric: found {metric}. Whoever chooses by the test videos no longer has any: the "
            f"figure of the best trial would be too good. Allowed: val.{rest}."
        )
    key = f"val.{full_key(rest if group == 'val' else metric)}"
    known = _known_keys()
    if key not in known:
        short = ", ".join(f"val.{name}" for name in SHORT_NAMES)
        raise PipelineError(f"--metric: found {metric}. Allowed: {short}; {', '.join(known)}.")
    return key


def check_data_root(root: str) -> None:
    """Trials run in copies of the repository, which hold what git and DVC know.

    Raises:
        PipelineError: The data lie in this folder, and neither knows them.
    """
    from dvc.exceptions import OutputNotFoundError
    from dvc.repo import Repo

    path = Path(root)
    if path.is_absolute():
        return
    with Repo(".") as repo:
        try:
            repo.find_outs_by_path(root)
        except OutputNotFoundError:
            if not subprocess.run(["git", "ls-files", root], capture_output=True).stdout:
                raise PipelineError(
                    f"params.yaml: data.root: found {root}, which neither git nor DVC tracks. "
                    "Trials run in copies of the repository, where it is missing: write "
                    f"{path.resolve()}, or `dvc add {root}`."
                ) from None


def _known_keys() -> list[str]:
    """Metrics that trials will have: those in reports/metrics.json, before the first run usual."""
    if paths.METRICS.is_file():
        content = json.loads(paths.METRICS.read_text(encoding="utf-8"))
        if is_in(content, "val"):
            return [key for key in _leaves(content["val"], "val") if "ci_" not in key]
    return [f"val.{metric.key}" for metric in METRICS if metric.kept]


def _leaves(node: dict[str, Any], prefix: str) -> Iterator[str]:
    for key, value in node.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}.{key}")
        else:
            yield f"{prefix}.{key}"


def _unsearched(space: Space) -> str:
    """Stands for all values of params.yaml that decide a result and stay."""
    searched = {s.key for s in space}
    flat = flat_parameters(read_params())
    return digest({key: text for key, text in flat.items() if key not in searched})


def _need_optuna() -> None:
    try:
        import optuna  # noqa: F401
    except ModuleNotFoundError:
        raise PipelineError(
            "tune needs Optuna: pip install 'surgical-phase-pipeline[tune]'."
        ) from None


def _check_names(name: str) -> None:
    taken = experiments_of(name)
    if taken:
        raise PipelineError(
            f"--name: there is no study {name}, but there are experiments {', '.join(taken[:5])} "
            f"of an earlier one. Take another --name, or `dvc exp remove {' '.join(taken)}`."
        )


def _runner(jobs: int, folder: Path) -> Runner:
    from pipeline.tune.queued import Queued
    from pipeline.tune.serial import Serial

    return Serial(folder / "logs") if jobs == 1 else Queued(jobs)


@contextmanager
def _away(folder: Path, runtime: RuntimeParams) -> Iterator[Runner]:
    from pipeline.tune.elsewhere import Elsewhere, check_features
    from pipeline.tune.serial import Serial

    check_features(runtime.executor)
    runner = Elsewhere(Serial(folder / "logs"), folder, runtime, _say)
    try:
        yield runner
    finally:
        runner.close()


def _share_features(space: Space) -> bool:
    """Whether trials differ in no more than what is learnt from the features that are there."""
    sections = {searched.key.partition(".")[0] for searched in space}
    return sections <= {"model", "train", "postprocess"}


@contextmanager
def _alone() -> Iterator[None]:
    """One tune at a time: the trials of two would get into each other's way."""
    from filelock import FileLock, Timeout

    path = store_root() / "tune.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(path, timeout=0):
            yield
    except Timeout:
        raise PipelineError(
            "another tune runs in this repository. Wait for it, or take --jobs there."
        ) from None


def _say(line: str) -> None:
    print(line, flush=True)
