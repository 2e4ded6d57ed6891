"""The results that a repository holds: of commits and of experiments, each different one once."""

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import yaml

from pipeline import paths
from pipeline.compare.reports import ReportToCompare, read_files, revision_files
from pipeline.errors import PipelineError
from pipeline.networks.cost import Cost

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_HEADER_LENGTH = 8


@dataclass(frozen=True)
class Result:
    """What one revision scored.

    Attributes:
        report: Its test videos, under the name of the commit or experiment.
        also: Names of further revisions with the same predictions.
        validation: The group `val` of its details.json; empty where there is none.
        backbone: Cost for a frame; None where its features do not say it, or are not in the cache.
        head: Cost of the temporal model for a frame; None where it is not in the cache.
    """

    report: ReportToCompare
    also: tuple[str, ...]
    validation: Mapping[str, Any]
    backbone: Cost | None
    head: Cost | None


@dataclass(frozen=True)
class Revision:
    """A revision with predictions.

    Attributes:
        name: Of an experiment, or the abbreviated hash of a commit.
        hash: Its full hash.
        also: Names of further revisions with the same predictions.
    """

    name: str
    hash: str
    also: tuple[str, ...]


def revisions() -> list[Revision]:
    """Commits of branches and tags, the newest first, then experiments; equal predictions once.

    Raises:
        PipelineError: This is no git repository with DVC.
    """
    named: dict[str, list[tuple[str, str]]] = {}
    for name, full in [*_commits(), *_experiments()]:
        predictions = _predictions_in(full)
        if predictions is not None:
            named.setdefault(predictions, []).append((name, full))
    return [
        Revision(*same[0], also=tuple(dict.fromkeys(name for name, _ in same[1:])))
        for same in named.values()
    ]


def read_result(revision: Revision) -> Result:
    """Read what a revision holds, from git and from DVC's cache.

    Raises:
        PipelineError: Its report is not in the cache, or is none that can be compared.
    """
    files = revision_files(revision.hash)
    report = read_files(files, str(paths.REPORTS), revision.name)
    details = json.loads(files.read_text(str(paths.DETAILS), encoding="utf-8"))
    validation = details.get("val")
    return Result(
        report,
        revision.also,
        validation if isinstance(validation, Mapping) else {},
        _backbone_cost(files),
        _head_cost(files),
    )


def _commits() -> list[tuple[str, str]]:
    """Abbreviated and full hash of the commits that added or changed dvc.lock."""
    which = ["--branches", "--tags", "HEAD", "--diff-filter=AM"]
    lines = _git("git", "log", *which, "--format=%h %H", "--", "dvc.lock").splitlines()
    return [(short, full) for short, full in (line.split() for line in lines)]


def _experiments() -> list[tuple[str, str]]:
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo(".") as repo:
            found = repo.experiments.ls(all_commits=True)
    except DvcException as error:
        raise PipelineError(f"{error}. Run this in a clone of the project.") from None
    return sorted(pair for experiments in found.values() for pair in experiments)


def _predictions_in(revision: str) -> str | None:
    """What stands for the predictions' content in dvc.lock; None where there are none."""
    text = _git("git", "show", f"{revision}:./dvc.lock")
    lock = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    outs = lock.get("stages", {}).get("evaluate", {}).get("outs", [])
    return next((out["md5"] for out in outs if out["path"] == str(paths.PREDICTIONS)), None)


def _git(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise PipelineError(f"{done.stderr.strip()}. Run this in a clone of the project.")
    return done.stdout


def _backbone_cost(files: "AbstractFileSystem") -> Cost | None:
    import h5py

    from pipeline.evaluate.facts import cost_in

    # In folders, where each fold has a backbone of its own.
    found = files.glob(f"{paths.FEATURES}/*.h5") or files.glob(f"{paths.FEATURES}/fold_*/*.h5")
    for path in sorted(found)[:1]:
        try:
            with files.open(path, "rb") as file, h5py.File(file) as features:
                return cost_in(dict(features.attrs))
        except FileNotFoundError:
            return None
    return None


def _head_cost(files: "AbstractFileSystem") -> Cost | None:
    """From the header of the model alone: its weights are not read."""
    try:
        with files.open(str(paths.TEMPORAL), "rb") as file:
            length = int.from_bytes(file.read(_HEADER_LENGTH), "little")
            header = json.loads(json.loads(file.read(length))["__metadata__"]["pipeline"])
        shape = {key: header[key] for key in ("kind", "model", "dim", "classes")}
    except (FileNotFoundError, KeyError):
        return None
    # Of several seeds or folds, and of further outputs, as the report counts them.
    shape |= {key: header[key] for key in ("members", "task", "tracks") if key in header}
    return _cost_of(json.dumps(shape, sort_keys=True))


@cache
def _cost_of(shape: str) -> Cost:
    from pipeline.networks.cost import sequence_cost
    from pipeline.networks.temporal.params import rebuilt

    network = rebuilt(json.loads(shape)).eval()
    return sequence_cost(network, network.dim)
