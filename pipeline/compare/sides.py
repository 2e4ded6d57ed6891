"""One side of a comparison: the predictions of a folder, a git revision or an experiment."""

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from pipeline.errors import PipelineError
from pipeline.evaluate.provenance import flat_parameters
from pipeline.prediction_files import PredictedVideo, read_prediction

REPORTS = "reports"
PARAMS = "params.yaml"
_NO_RULE_SECONDS = 10.0


@dataclass(frozen=True)
class Side:
    """A report to compare.

    Attributes:
        name: As the user typed it.
        label_fps: Frames per second of its predictions.
        relaxed_seconds: Tolerance of its relaxed metrics.
        videos: Its test videos by name.
        parameters: What decides a result in params.yaml, by dotted key; empty where there is none.
    """

    name: str
    label_fps: float
    relaxed_seconds: float
    videos: dict[str, PredictedVideo]
    parameters: dict[str, str]

    @property
    def phases(self) -> tuple[str, ...]:
        """Names in class order."""
        return next(iter(self.videos.values())).phases


@dataclass(frozen=True)
class _Tree:
    """Files by their path from the project's root, wherever they are kept."""

    files: Callable[[str], list[str]]
    read: Callable[[str], str]


def read_side(name: str) -> Side:
    """Read a project's folder, its reports folder, a git revision or a DVC experiment.

    Raises:
        PipelineError: It is none of these, or holds no report.
    """
    tree = _folder(Path(name)) if Path(name).is_dir() else _revision(name)
    try:
        metrics: dict[str, Any] = json.loads(tree.read(f"{REPORTS}/metrics.json"))
        test = metrics["test"]
        fps = float(test["label_fps"])
    except FileNotFoundError:
        raise PipelineError(
            f"{name}: no {REPORTS}/metrics.json in it. Allowed: a folder with a report, a git "
            "revision or an experiment (`dvc exp list`) in which `dvc repro` ran."
        ) from None
    except (json.JSONDecodeError, KeyError, TypeError):
        raise PipelineError(
            f"{name}: {REPORTS}/metrics.json has no test.label_fps; an older version of this "
            "program wrote it. Evaluate that revision again."
        ) from None
    videos = {}
    for path in tree.files(f"{REPORTS}/predictions"):
        text = io.StringIO(tree.read(path))
        videos[PurePosixPath(path).stem] = read_prediction(text, f"{name}: {path}")
    if not videos:
        raise PipelineError(f"{name}: {REPORTS}/predictions is empty. Run `dvc repro evaluate`.")
    relaxed = test.get("relaxed", {}).get("seconds", _NO_RULE_SECONDS)
    return Side(name, fps, float(relaxed), videos, _parameters(tree))


def _folder(folder: Path) -> _Tree:
    # A folder of reports alone will do as well: then `reports/` is the folder itself.
    inner = folder if (folder / REPORTS).is_dir() else None

    def place(path: str) -> Path:
        return inner / path if inner else folder / PurePosixPath(path).relative_to(REPORTS)

    def files(path: str) -> list[str]:
        return sorted(f"{path}/{found.name}" for found in place(path).glob("*.csv"))

    def read(path: str) -> str:
        if not inner and not path.startswith(REPORTS):
            raise FileNotFoundError(path)
        return place(path).read_text(encoding="utf-8")

    return _Tree(files, read)


def _revision(name: str) -> _Tree:
    from dvc.api import DVCFileSystem
    from dvc.exceptions import DvcException
    from dvc.repo import Repo
    from dvc.scm import RevError, resolve_rev

    try:
        tree = DVCFileSystem(".", rev=resolve_rev(Repo(".").scm, name))
    except RevError:
        raise PipelineError(
            f"{name}: neither a folder nor a git revision nor an experiment (`dvc exp list`)."
        ) from None
    except DvcException as error:
        raise PipelineError(f"{name}: {error}. Run this in a clone of the project.") from None

    def files(path: str) -> list[str]:
        try:
            return sorted(found for found in tree.ls(path, detail=False) if found.endswith(".csv"))
        except FileNotFoundError:
            return []

    def read(path: str) -> str:
        try:
            text: str = tree.read_text(path, encoding="utf-8")
        except FileNotFoundError as error:
            if path.endswith("metrics.json") or path == PARAMS:
                raise
            raise PipelineError(
                f"{name}: {path} is not in the cache ({error}). `dvc pull -r REMOTE` or "
                f"`dvc repro` at that revision brings it."
            ) from None
        return text

    return _Tree(files, read)


def _parameters(tree: _Tree) -> dict[str, str]:
    try:
        content = yaml.safe_load(tree.read(PARAMS))
    except FileNotFoundError:
        return {}
    return dict(flat_parameters(content))
