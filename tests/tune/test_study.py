"""A search on an objective that is known: seeded, taken up again, pruned, and never on test."""

import json

import pandas as pd
import pytest

from pipeline.errors import PipelineError
from pipeline.tune.command import validation_key
from pipeline.tune.report import write_report
from pipeline.tune.space import read_space
from pipeline.tune.study import Search, counted, open_study, run_trials
from pipeline.tune.trials import INTERRUPTED, Outcome, reason_in

METRIC = "val.frame.f1.per_phase_mean"


class Fake:
    """Trials that end at once; the best is x = 3 with kind b.

    Args:
        killed: Experiment at which the process dies.
        failing: Experiment that fails.
    """

    def __init__(self, killed=None, failing=None, curves=None):
        self.killed, self.failing, self.curves = killed, failing, curves or {}
        self.ran, self.stopped = {}, []

    def start(self, name, overrides):
        self.ran[name] = dict(text.split("=") for text in overrides)

    def ended(self, name):
        if name == self.killed:
            raise KeyboardInterrupt
        if name == self.failing:
            return Outcome(None, "loss is not finite")
        if name in self.curves:
            return None
        if name not in self.ran:
            return Outcome(None, INTERRUPTED)
        value = 1 - (float(self.ran[name]["x"]) - 3) ** 2 / 100
        value -= 0.5 * (self.ran[name]["kind"] == "a")
        return Outcome({"val": {"frame": {"f1": {"per_phase_mean": value}}}})

    def epochs(self, name):
        return self.curves.get(name, [])

    def stop(self, name):
        self.stopped.append(name)


@pytest.fixture
def search(tmp_path):
    path = tmp_path / "space.yaml"
    path.write_text("kind: [a, b]\nx: {low: -10.0, high: 10.0}\nn: {low: 1, high: 4}\n")
    return Search("s", read_space(path), METRIC, seed=1, params="p")


def run(folder, search, runner, trials, prune=False):
    study, lines = open_study(folder, search), []
    run_trials(study, search, runner, trials, 1, prune, lines.append, poll_s=0)
    return study, lines


def chosen(study):
    return [trial.user_attrs["overrides"] for trial in counted(study)]


def test_a_study_is_seeded_and_nears_the_best_value(tmp_path, search):
    first, lines = run(tmp_path / "a", search, Fake(), 25)
    second, _ = run(tmp_path / "b", search, Fake(), 25)
    assert chosen(first) == chosen(second) and len(lines) == 25
    assert first.best_value > 0.95 and first.best_trial.params["kind"] == "b"


def test_a_killed_study_goes_on_as_if_nothing_had_happened(tmp_path, search):
    whole, _ = run(tmp_path / "whole", search, Fake(), 13)
    killed = Fake(killed="s-6")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", search, killed, 13)
    assert killed.stopped == ["s-6"]
    taken_up, lines = run(tmp_path / "cut", search, Fake(), 13)
    assert len(lines) == 13 - 6  # none of the six that had ended runs again
    assert chosen(taken_up) == chosen(whole)


def test_a_trial_that_a_dead_process_left_is_run_again_or_its_result_taken(tmp_path, search):
    class Dies(Fake):
        def ended(self, name):
            if name == "s-2":
                raise MemoryError
            return super().ended(name)

        def stop(self, name):
            raise SystemExit  # as if killed with no time for anything

    dying = Dies()
    with pytest.raises(SystemExit):
        run(tmp_path / "s", search, dying, 4)
    finished_meanwhile = Fake()
    finished_meanwhile.ran["s-2"] = dying.ran["s-2"]
    study, lines = run(tmp_path / "s", search, finished_meanwhile, 4)
    assert [line.split()[0] for line in lines] == ["s-2", "s-3"]
    assert [trial.state.name for trial in counted(study)] == ["COMPLETE"] * 4


def test_a_failed_trial_is_recorded_with_its_reason_and_the_others_go_on(tmp_path, search):
    study, lines = run(tmp_path / "s", search, Fake(failing="s-1"), 6)
    assert "s-1  fail (loss is not finite)" in lines[1]
    write_report(study, search, tmp_path / "report")
    table = pd.read_csv(tmp_path / "report/trials.csv")
    assert list(table["state"]) == ["complete", "fail", *["complete"] * 4]
    assert table["reason"][1] == "loss is not finite"


def test_a_trial_below_the_median_of_its_epoch_is_stopped(tmp_path, search):
    run(tmp_path / "s", search, Fake(), 1)

    class Curves(Fake):
        """Five trials rise to the end; the sixth stays at zero."""

        def ended(self, name):
            return None if name == "s-6" or not self.seen(name) else super().ended(name)

        def seen(self, name):
            return name in self.looked

        def epochs(self, name):
            self.looked.add(name)
            return [0.0] * 12 if name == "s-6" else [0.1 * i for i in range(12)]

    runner = Curves()
    runner.looked = set()
    study, lines = run(tmp_path / "s", search, runner, 7, prune=True)
    assert runner.stopped == ["s-6"]
    assert "pruned (after epoch 6)" in lines[-1]
    assert counted(study)[6].state.name == "PRUNED"


def test_a_study_is_not_taken_up_with_another_space_or_seed(tmp_path, search):
    run(tmp_path / "s", search, Fake(), 1)
    for other in (
        Search("s", search.space[:1], METRIC, 1, "p"),
        Search("s", search.space, METRIC, 2, "p"),
        Search("s", search.space, METRIC, 1, "other params.yaml"),
    ):
        with pytest.raises(PipelineError, match="was begun with"):
            open_study(tmp_path / "s", other)


def test_the_report_names_the_best_trial_and_what_decided(tmp_path, search):
    study, _ = run(tmp_path / "s", search, Fake(), 12)
    best = write_report(study, search, tmp_path / "report")
    assert "-S kind=b" in best and best == " ".join(
        f"-S {text}" for text in study.best_trial.user_attrs["overrides"]
    )
    page = (tmp_path / "report/README.md").read_text()
    assert best in page and "12 trials, 0 pruned, 0 failed" in page
    assert (tmp_path / "report/history.png").stat().st_size > 1000
    assert (tmp_path / "report/importance.png").stat().st_size > 1000


def test_a_metric_of_the_test_videos_is_refused(workplace):
    assert validation_key("macro_f1") == validation_key("val.macro_f1") == METRIC
    with pytest.raises(PipelineError, match="no longer has any"):
        validation_key("test.macro_f1")
    (workplace / "reports").mkdir()
    content = {"val": {"folds": {"accuracy": 0.5}, "frame": {"accuracy": {"ci_low": 0.1}}}}
    (workplace / "reports/metrics.json").write_text(json.dumps(content))
    assert validation_key("val.folds.accuracy") == "val.folds.accuracy"
    with pytest.raises(PipelineError, match=r"Allowed: .*val\.folds\.accuracy"):
        validation_key("val.macro_f1")


def test_the_reason_is_what_the_stage_says_before_what_dvc_says():
    log = (
        "Running stage 'train':\nERROR: params.yaml: train.epochs: found -3.\n"
        "ERROR: failed to reproduce 'train': exited with 1\n"
    )
    assert reason_in(log) == "params.yaml: train.epochs: found -3."
    log = "Traceback (most recent call last):\n  x\nMemoryError: none left\nERROR: failed to repro"
    assert reason_in(log.replace("repro", "reproduce 'train'")) == "MemoryError: none left"
    assert reason_in("") == "it left no message"
