"""reports/tune/<study>: a table of all trials, two pictures, and a page that shows them."""

import shlex
from pathlib import Path

import optuna
import pandas as pd
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial, TrialState

from pipeline.atomic import write_text
from pipeline.metrics.short_names import rises
from pipeline.tables import write_table
from pipeline.text_tables import markdown_table
from pipeline.tune.pictures import history_picture, importance_picture
from pipeline.tune.study import Search, counted

ENOUGH = 4
"""Trials with a value below which importances are left out."""
_SHOWN = 10


def write_report(study: optuna.Study, search: Search, folder: Path) -> str:
    """Write trials.csv, history.png, importance.png and README.md.

    Importances are of the parameters that every trial has (Hutter et al., "An Efficient Approach
    for Assessing Hyperparameter Importance", ICML 2014): those under a condition are left out.

    Returns:
        The best values as arguments of `dvc exp run`; empty where no trial has a value.
    """
    trials = counted(study)
    write_table(_table(trials, search), folder / "trials.csv")
    done = _best_first(trials, search)
    if not done:
        return ""
    values = {trial.number: float(trial.value or 0) for trial in done}
    without = [t.number for t in trials if t.state in (TrialState.FAIL, TrialState.PRUNED)]
    history_picture(folder / "history.png", values, without, rises(search.metric), search.metric)
    importances = _importances(study, len(done))
    if importances:
        importance_picture(folder / "importance.png", importances)
    best = arguments(done[0])
    write_text(folder / "README.md", _page(trials, done, search, best, bool(importances)))
    return best


def arguments(trial: FrozenTrial) -> str:
    """A trial's values as a shell takes them."""
    return " ".join(f"-S {shlex.quote(text)}" for text in trial.user_attrs["overrides"])


def _best_first(trials: list[FrozenTrial], search: Search) -> list[FrozenTrial]:
    done = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    return sorted(done, key=lambda t: (t.value or 0) * (-1 if rises(search.metric) else 1))


def _importances(study: optuna.Study, done: int) -> dict[str, float]:
    if done < ENOUGH:
        return {}
    found = get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=0))
    return {key: share for key, share in found.items() if len(found) > 1}


def _table(trials: list[FrozenTrial], search: Search) -> pd.DataFrame:
    rows = []
    for trial in trials:
        chosen = dict(text.split("=", 1) for text in trial.user_attrs.get("overrides", []))
        seconds = "" if trial.duration is None else f"{trial.duration.total_seconds():.0f}"
        row = {
            "experiment": f"{search.name}-{trial.number}",
            "state": trial.state.name.lower(),
            search.metric: trial.value if trial.state == TrialState.COMPLETE else None,
            "seconds": seconds,
            "reason": trial.user_attrs.get("reason", ""),
        }
        rows.append(row | {s.key: chosen.get(s.key, "") for s in search.space})
    return pd.DataFrame(rows)


def _page(
    trials: list[FrozenTrial],
    done: list[FrozenTrial],
    search: Search,
    best: str,
    has_importances: bool,
) -> str:
    head = ("experiment", search.metric, "values")
    rows = [
        (f"{search.name}-{t.number}", f"{t.value:.4f}", ", ".join(t.user_attrs["overrides"]))
        for t in done[:_SHOWN]
    ]
    count = {state: sum(t.state == state for t in trials) for state in TrialState}
    parts = [
        f"# {search.name}",
        f"{len(trials)} trials, {count[TrialState.PRUNED]} pruned, {count[TrialState.FAIL]} "
        f"failed; all of them are in trials.csv. Chosen by {search.metric} of the validation "
        "videos; what the best one is worth, its test videos say.",
        f"```\ndvc exp run {best}\n```",
        markdown_table([head, *rows]),
        "![Value of each trial, and the best so far](history.png)",
    ]
    if has_importances:
        parts.append("![Share of the variance that each parameter decides](importance.png)")
    return "\n\n".join(parts) + "\n"
