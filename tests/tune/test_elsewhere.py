"""A trial that an executor is given: refused before any worker is asked."""

from pathlib import Path

from folds_project import make_project

from pipeline.runtime import RuntimeParams
from pipeline.tune.elsewhere import Elsewhere


def test_a_trial_of_values_that_do_not_go_together_fails_with_the_key(workplace):
    make_project()
    runner = Elsewhere(None, Path("study"), RuntimeParams(executor="ray"), print)
    runner.start("s-0", ["model.hidden=0"])
    assert runner.ended("s-0").reason.startswith("params.yaml: model.hidden: found 0")
