"""A report to compare: the predictions in a folder, a git revision or an experiment."""

import io
import json
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import yaml

from pipeline import paths
from pipeline.errors import PipelineError
from pipeline.evaluate.parameters import flat_parameters
from pipeline.prediction_files import PredictedVideo, read_prediction

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_SECONDS_WITHOUT_RULE = 10.0


@dataclass(frozen=True)
class ReportToCompare:
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
    def classes(self) -> tuple[str, ...]:
        """Names in class order."""
        return next(iter(self.videos.values())).classes


def read_report(name: str) -> ReportToCompare:
    """Read a project's folder, its reports folder, a git revision or a DVC experiment.

    Raises:
        PipelineError: It is none of these, or holds no report.
    """
    folder = Path(name)
    if folder.is_dir():
        files = _folder(folder)
        reports = str(paths.REPORTS) if files.isdir(str(paths.REPORTS)) else "."
    else:
        files, reports = revision_files(name), str(paths.REPORTS)
    return read_files(files, reports, name)


def read_files(files: "AbstractFileSystem", reports: str, name: str) -> ReportToCompare:
    """Read the report in a folder of a file system.

    Args:
        files: A project, or a folder of reports alone.
        reports: The folder of reports in it.
        name: What errors call it.

    Raises:
        PipelineError: It holds no report.
    """
    test = _details(files, f"{reports}/{paths.DETAILS.name}", name)
    videos = {}
    for path in sorted(files.glob(f"{reports}/{paths.PREDICTIONS.name}/*.csv")):
        video = PurePosixPath(path).stem
        shown = f"{name}: {paths.PREDICTIONS}/{video}.csv"
        videos[video] = read_prediction(io.StringIO(_text(files, path, name)), shown)
    if not videos:
        raise PipelineError(f"{name}: {paths.PREDICTIONS} is empty. Run `dvc repro evaluate`.")
    relaxed = test.get("relaxed", {}).get("seconds", _SECONDS_WITHOUT_RULE)
    return ReportToCompare(
        name, float(test["label_fps"]), float(relaxed), videos, _parameters(files, reports)
    )


def _folder(folder: Path) -> "AbstractFileSystem":
    from fsspec.implementations.dirfs import DirFileSystem
    from fsspec.implementations.local import LocalFileSystem

    return DirFileSystem(str(folder.resolve()), LocalFileSystem())


def revision_files(name: str) -> "AbstractFileSystem":
    """The project as a git revision or an experiment holds it, with what DVC keeps of it.

    Raises:
        PipelineError: There is no such revision here.
    """
    from dvc.api import DVCFileSystem
    from dvc.exceptions import DvcException
    from dvc.repo import Repo
    from dvc.scm import RevError, resolve_rev

    try:
        with Repo(".") as repo:
            revision = resolve_rev(repo.scm, name)
        return DVCFileSystem(".", rev=revision)
    except RevError:
        raise PipelineError(
            f"{name}: neither a folder nor a git revision nor an experiment (`dvc exp list`)."
        ) from None
    except DvcException as error:
        raise PipelineError(f"{name}: {error}. Run this in a clone of the project.") from None


def _details(files: "AbstractFileSystem", path: str, name: str) -> dict[str, Any]:
    """The group `test` of reports/details.json."""
    if not files.exists(path):
        raise PipelineError(
            f"{name}: no {paths.DETAILS} in it. Allowed: a folder with a report, a git revision or "
            "an experiment (`dvc exp list`) in which `dvc repro` ran."
        )
    try:
        test: dict[str, Any] = json.loads(_text(files, path, name))["test"]
        if "videos" in test and "label_fps" not in test and "frames" not in test:
            raise PipelineError(
                f"{name}: holds one answer per video, but phases are compared here. Use `dvc "
                "metrics diff`."
            )
        if "images" in test:
            raise PipelineError(
                f"{name}: holds single images, but phases of videos are compared here. Use `dvc "
                "metrics diff`."
            )
        float(test["label_fps"])
    except (json.JSONDecodeError, KeyError, TypeError):
        raise PipelineError(
            f"{name}: {paths.DETAILS} has no test.label_fps. Evaluate that revision again."
        ) from None
    return test


def _text(files: "AbstractFileSystem", path: str, name: str) -> str:
    try:
        text: str = files.read_text(path, encoding="utf-8")
    except FileNotFoundError as error:
        # DVC knows the file by its hash, but its content is elsewhere.
        raise PipelineError(
            f"{name}: {path} is not in the cache ({error}). `dvc pull -r REMOTE` or `dvc repro` at "
            "that revision brings it."
        ) from None
    return text


def _parameters(files: "AbstractFileSystem", reports: str) -> dict[str, str]:
    # A folder of reports alone has no params.yaml beside it.
    path = str(paths.PARAMS)
    if reports == "." or not files.exists(path):
        return {}
    return flat_parameters(yaml.safe_load(files.read_text(path, encoding="utf-8")) or {})
