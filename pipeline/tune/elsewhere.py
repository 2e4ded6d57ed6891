"""Trials whose trainings are done by workers of an executor; all else of them by DVC, here."""

import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import PipelineError
from pipeline.executors.elsewhere import done_elsewhere
from pipeline.networks.temporal.params import read_model
from pipeline.runtime import RuntimeParams
from pipeline.settings import PARAMS, read_section, read_value
from pipeline.tables import read_folds
from pipeline.task import read_task
from pipeline.train.elsewhere import Item, Recipe, train_item
from pipeline.train.members import Member
from pipeline.train.params import TrainParams
from pipeline.tune.trials import Outcome, Runner


@dataclass(frozen=True)
class _Training:
    trial: str
    item: Item

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"{self.trial}, {self.item.name}"


class Elsewhere:
    """Trains several trials at a time on Ray or Slurm, into the store, and has DVC run each then.

    DVC's train stage finds what was trained, so that a trial is the same experiment as without an
    executor, and workers never start DVC.

    Args:
        here: Runs a trial with DVC, one at a time.
        folder: Of the study, for the curves of trainings.
        runtime: Which executor, and what one training takes.
        say: Takes the lines that workers print.
    """

    def __init__(
        self, here: Runner, folder: Path, runtime: RuntimeParams, say: Callable[[str], None]
    ) -> None:
        self._here, self._folder, self._runtime = here, folder, runtime
        self._overrides: dict[str, list[str]] = {}
        self._left: Counter[str] = Counter()
        self._failed: dict[str, str] = {}
        self._trainings: list[_Training] = []  # grows as trials begin
        self._done = done_elsewhere(_train, self._trainings, runtime.task, runtime, say)

    def start(self, name: str, overrides: list[str]) -> None:
        """Have its trainings done, one for each fold and seed."""
        self._overrides[name] = overrides
        try:
            items = _items(overrides, self._folder / "curves" / name, self._runtime)
        except PipelineError as error:
            self._failed[name] = str(error)
            return
        self._left[name] = len(items)
        self._trainings += [_Training(name, item) for item in items]

    def ended(self, name: str) -> Outcome | None:
        """After its last training, what DVC makes of it; waits for any training until then.

        Raises:
            PipelineError: As done_elsewhere.
        """
        if name not in self._overrides:  # begun by an earlier process, whose DVC may still run
            return self._ended_here(name)
        if self._left[name] and name not in self._failed:
            self._take_one()
        if name in self._failed:
            return Outcome(None, self._failed[name])
        if self._left[name]:
            return None
        self._here.start(name, self._overrides[name])
        return self._ended_here(name)

    def epochs(self, name: str) -> list[float]:
        """None: these trials are not pruned."""
        return []

    def stop(self, name: str) -> None:
        """End all trainings, and the trial if DVC runs it; trainings keep their state."""
        self.close()
        self._here.stop(name)

    def close(self) -> None:
        """End what is under way, and Ray where it was started for this."""
        self._done.close()

    def _take_one(self) -> None:
        training, give = next(self._done)
        self._left[training.trial] -= 1
        try:
            give()
        except PipelineError as error:
            self._failed.setdefault(training.trial, f"{training.item.name}: {error}")

    def _ended_here(self, name: str) -> Outcome:
        while (outcome := self._here.ended(name)) is None:
            time.sleep(0.5)
        return outcome


def check_features(executor: str) -> None:
    """Trainings begin with the features of the working folder.

    Raises:
        PipelineError: They are not those of params.yaml.
    """
    from dvc.repo import Repo

    with Repo(".") as repo:
        stale = repo.status(targets=["features"], with_deps=True)
    if stale:
        raise PipelineError(
            f"params.yaml: runtime.executor: found {executor}, with which trials begin with the "
            f"features of this folder, but these stages are out of date: {', '.join(stale)}. Run "
            "`dvc repro features`, then again."
        )


def _items(overrides: Sequence[str], curves: Path, runtime: RuntimeParams) -> list[Item]:
    """The trainings of a trial.

    Raises:
        PipelineError: params.yaml does not take these values together.
    """
    from dvc.utils.hydra import apply_overrides

    with tempfile.TemporaryDirectory() as folder:
        params = Path(shutil.copy(PARAMS, folder))
        apply_overrides(str(params), list(overrides))
        try:
            kind, model = read_model(path=params)
            train = read_section(TrainParams, "train", params)
        except PipelineError as error:
            raise PipelineError(str(error).replace(str(params), str(PARAMS))) from None
    folds, of_one = read_folds(), runtime.of_one_item(runtime.task)
    recipe = Recipe(kind, model, train, read_task(), folds, curves, of_one)
    seeds = train.seeds or [read_value("seed", int)]
    return [Item(Member(fold, seed), recipe) for fold in folds for seed in seeds]


def _train(training: _Training) -> None:
    train_item(training.item)
