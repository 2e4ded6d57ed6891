"""A trial's process: its curve is found, and it ends with all that it started."""

import subprocess
import sys
import time

import psutil
import pytest

from pipeline.tune import serial
from pipeline.tune.serial import Serial
from pipeline.tune.trials import INTERRUPTED, Outcome

# What DVC does: start a stage in a copy of the repository, and wait for it.
DVC = """
import subprocess, sys
stage = [sys.executable, "-c", "import time; time.sleep(60)", "pipeline", "train"]
sys.exit(subprocess.run(stage, cwd=sys.argv[1]).returncode)
"""


@pytest.fixture
def runner(tmp_path, monkeypatch):
    copy = tmp_path / "copy"
    (copy / serial._CURVE).parent.mkdir(parents=True)
    (copy / serial._CURVE).write_text("step\tval_macro_f1\n0\t0.25\n1\t0.5\n2\t0.")
    monkeypatch.setattr(serial, "dvc", lambda *_: [sys.executable, "-c", DVC, str(copy)])
    monkeypatch.setattr(serial, "result_of", lambda name: None)
    monkeypatch.setattr(serial, "_left_behind", lambda name: False)
    return Serial(tmp_path / "logs")


def test_the_curve_of_a_running_trial_is_read_and_stop_ends_the_stage_too(runner):
    runner.start("s-0", [])
    deadline = time.monotonic() + 30
    while not (found := runner.epochs("s-0")) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert found == [0.25, 0.5]  # without the line that is only half there
    assert runner.ended("s-0") is None
    stages = psutil.Process(runner._processes["s-0"].pid).children()
    runner.stop("s-0")
    assert psutil.wait_procs(stages, timeout=10)[1] == []
    assert runner.ended("s-0").metrics is None


def test_a_trial_that_left_neither_process_nor_experiment_was_interrupted(runner):
    assert runner.ended("s-7") == Outcome(None, INTERRUPTED)


def test_a_trial_of_a_killed_process_is_seen_in_its_folder_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = [sys.executable, "-c", "import time; time.sleep(60)", "--temp", "-n", "s-3"]
    with subprocess.Popen(command) as process:
        try:
            assert serial._left_behind("s-3") and not serial._left_behind("s-33")
            monkeypatch.chdir(tmp_path.parent)
            assert not serial._left_behind("s-3")
        finally:
            process.kill()
