"""The search itself: values asked of the sampler, trials run, and what came out told to it."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, Trial, TrialState

from pipeline.errors import PipelineError
from pipeline.metrics.keys import value_at
from pipeline.metrics.short_names import rises
from pipeline.tune.space import Space, draw
from pipeline.tune.trials import INTERRUPTED, Outcome, Runner

_WARMUP_EPOCHS = 5


@dataclass(frozen=True)
class Search:
    """What a study is about; a study that goes on must be about the same.

    Attributes:
        name: Of the study; its trials are the experiments <name>-0, <name>-1, ...
        space: What is searched.
        metric: Dotted key in reports/metrics.json, of the validation videos.
        seed: Of the sampler.
        params: Stands for the values of params.yaml that are not searched.
    """

    name: str
    space: Space
    metric: str
    seed: int
    params: str

    def attributes(self) -> dict[str, Any]:
        """What the study's file says of it."""
        space = {searched.key: repr(searched) for searched in self.space}
        return {"metric": self.metric, "seed": self.seed, "space": space, "params": self.params}


def open_study(folder: Path, search: Search) -> optuna.Study:
    """The study in this folder, begun or taken up: a journal to which every step is added.

    Raises:
        PipelineError: It was begun with another space, metric, seed or params.yaml.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folder.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        study_name=search.name,
        storage=JournalStorage(JournalFileBackend(str(folder / "journal.log"))),
        direction="maximize" if rises(search.metric) else "minimize",
        pruner=optuna.pruners.MedianPruner(n_warmup_steps=_WARMUP_EPOCHS),
        load_if_exists=True,
    )
    for key, value in search.attributes().items():
        begun = study.user_attrs.get(key, value)
        if begun != value:
            raise PipelineError(
                f"{folder}: the study `{search.name}` was begun with {key} {begun}, now it is "
                f"{value}; its trials cannot be compared. Take another --name, or undo the change."
            )
        study.set_user_attr(key, value)
    return study


def counted(study: optuna.Study) -> list[FrozenTrial]:
    """All trials but those that were interrupted, whose values are run again, or that wait."""
    return [
        trial
        for trial in study.get_trials(deepcopy=False)
        if trial.state != TrialState.WAITING and trial.user_attrs.get("reason") != INTERRUPTED
    ]


def run_trials(
    study: optuna.Study,
    search: Search,
    runner: Runner,
    trials: int,
    jobs: int,
    prune: bool,
    say: Callable[[str], None],
    poll_s: float = 1.0,
) -> None:
    """Run trials until the study has so many; those that an earlier process began are awaited.

    Args:
        study: As open_study returned it.
        search: What it is about.
        runner: Runs them.
        trials: In all, those of earlier calls included.
        jobs: At a time.
        prune: Whether a trial is ended whose validation macro F1 is below the median of the
            earlier ones at the same epoch.
        say: Takes a line per trial.
        poll_s: Seconds between two looks at the trials that run.
    """
    running = {
        trial.number: Trial(study, trial._trial_id)
        for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    }
    try:
        while running or len(counted(study)) < trials:
            while len(running) < jobs and len(counted(study)) < trials:
                trial = _ask(study, search)
                running[trial.number] = trial
                runner.start(_name(search, trial), trial.user_attrs["overrides"])
            for number, trial in list(running.items()):
                outcome = runner.ended(_name(search, trial))
                if outcome is None and prune and _is_worse(trial, runner, search):
                    runner.stop(_name(search, trial))
                    outcome = Outcome(None, "pruned")
                if outcome is not None:
                    del running[number]
                    _tell(study, search, trial, outcome)
                    say(line_of(study.get_trials(deepcopy=False)[number], search.name))
            if running:
                time.sleep(poll_s)
    except BaseException:  # Ctrl-C first of all
        for trial in running.values():
            runner.stop(_name(search, trial))
            _tell(study, search, trial, Outcome(None, INTERRUPTED))
        raise


def line_of(trial: FrozenTrial, name: str) -> str:
    """One line for the terminal: name, value or reason, and what was chosen."""
    if trial.state == TrialState.COMPLETE:
        result = f"{trial.value:.4f}"
    else:
        result = f"{trial.state.name.lower()} ({trial.user_attrs.get('reason', '')})"
    return "  ".join([f"{name}-{trial.number}", result, *trial.user_attrs.get("overrides", [])])


def _name(search: Search, trial: Trial) -> str:
    return f"{search.name}-{trial.number}"


def _ask(study: optuna.Study, search: Search) -> Trial:
    """The next trial.

    The sampler is seeded anew by the number of trials before: a study that was killed and taken up
    chooses what it would have chosen without that.
    """
    seeds = np.random.SeedSequence([search.seed, len(counted(study))])
    study.sampler = optuna.samplers.TPESampler(seed=int(seeds.generate_state(1)[0]))
    trial = study.ask()
    chosen = draw(trial, search.space)
    trial.set_user_attr("overrides", [f"{key}={value}" for key, value in chosen.items()])
    return trial


def _is_worse(trial: Trial, runner: Runner, search: Search) -> bool:
    known = trial.user_attrs.get("epochs", 0)
    values = runner.epochs(_name(search, trial))
    for epoch in range(known, len(values)):
        trial.report(values[epoch], epoch)
        trial.set_user_attr("epochs", epoch + 1)
        if trial.should_prune():
            return True
    return False


def _tell(study: optuna.Study, search: Search, trial: Trial, outcome: Outcome) -> None:
    reason, value = outcome.reason, None
    if outcome.metrics is not None:
        value = value_at(outcome.metrics, search.metric)
        reason = "" if value is not None else f"reports/metrics.json has no {search.metric}"
    trial.set_user_attr("reason", reason)
    if value is not None:
        study.tell(trial, float(value))
    elif reason == "pruned":
        trial.set_user_attr("reason", f"after epoch {trial.user_attrs['epochs']}")
        study.tell(trial, state=TrialState.PRUNED)
    else:
        study.tell(trial, state=TrialState.FAIL)
    if reason == INTERRUPTED:
        study.enqueue_trial(trial.params)  # whatever it had drawn
