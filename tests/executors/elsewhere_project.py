"""Stages run here and elsewhere, to be compared."""

import hashlib
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import psutil
from dvc.utils.hydra import apply_overrides
from folds_project import make_project as make_folds
from videos import write_video

from pipeline.frames import stage as frames_stage
from pipeline.tables import write_table
from pipeline.train import stage as train_stage
from pipeline.tune.trials import INTERRUPTED, Outcome

_FRAMES = """\
data: {root: videos}
frames: {fps: 1, short_side: 64, crop_borders: false, quality: 95, decoder: pyav, on_error: skip}
runtime:
  device: cpu
  threads: 1
  progress: lines
"""


def bytes_of(folder, pattern):
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.glob(pattern)}


# As `python -m pipeline frames`, of which the first video is done and the others hang.
_HANGING_FRAMES = """
import remote_functions
from pipeline import cli
from pipeline.frames import stage

cli._check_params = lambda: None  # of the sections that this stage does not read
stage.write_container = remote_functions.frames_of_the_first
cli.main()
"""


def make_videos():
    """Two videos and a damaged one in an index, as if it had just been made."""
    rows = []
    for name in ("a", "b", "damaged"):
        path = Path(f"videos/{name}.mp4")
        write_video(path, 50)
        if name == "damaged":
            path.write_bytes(path.read_bytes()[:200])
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        rows.append(
            {"video": name, "path": path.name, "sha256": content, "width": 0, "height": 0}
            | {"fps": 0, "frames": 0, "duration_s": 0, "problem": ""}
        )
    write_table(pd.DataFrame(rows), Path("data/index/videos.csv"))


def check_frames(executor):
    """Frames of two videos and of a damaged one: the same files, here and elsewhere."""
    make_videos()
    _compare(_FRAMES, executor, frames_stage.run, Path("data/frames"), "*")


def check_interrupt(executor):
    """Ctrl-C while two items run: both end, the stage too, and what was finished is kept."""
    make_videos()
    Path("params.yaml").write_text(_FRAMES + executor)
    stage = subprocess.Popen(
        [sys.executable, "-c", _HANGING_FRAMES, "frames"],
        # A shell that starts the tests in the background has them, and so the stage, ignore it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 120
    finished = Path(".store/frames")
    while len(hanging := list(Path().glob("hangs+*"))) < 2 or not list(finished.glob("*.h5")):
        assert stage.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    workers = [psutil.Process(int(path.name.split("+")[1])) for path in hanging]
    stage.send_signal(signal.SIGINT)
    assert stage.wait(60) == 130
    assert not psutil.wait_procs(workers, timeout=10)[1]
    assert len(list(finished.glob("*.h5"))) == 1


def check_training(executor):
    """Trainings of several folds: the same weights and curves, here and elsewhere."""
    make_folds()
    text = Path("params.yaml").read_text()
    start = text.index("runtime:")
    end = text.find("\n", start)
    here = text[:start] + "runtime:\n  device: cpu\n  threads: 1\n" + text[end + 1 :]
    _compare(here, executor, train_stage.run, Path("models"), "temporal.*")


def _compare(params, executor, run, folder, pattern):
    Path("params.yaml").write_text(params)
    run()
    here = bytes_of(folder, pattern)
    assert here
    for name in here:
        (folder / name).unlink()
    shutil.rmtree(".store")
    Path("params.yaml").write_text(params + executor)
    run()
    assert bytes_of(folder, pattern) == here


class TrainsHere:
    """In place of DVC: runs the train stage in this folder with the values of a trial.

    Args:
        killed: The trial at which the process dies.
    """

    def __init__(self, killed=None):
        self.killed, self.trained = killed, {}

    def start(self, name, overrides):
        if name == self.killed:
            raise KeyboardInterrupt
        before = Path("params.yaml").read_text()
        apply_overrides("params.yaml", list(overrides))
        self.trained[name] = train_stage.run()
        Path("params.yaml").write_text(before)

    def ended(self, name):
        if name not in self.trained:
            return Outcome(None, INTERRUPTED)
        best = pd.read_csv("reports/train/history.csv")["val_macro_f1"].max()
        return Outcome({"val": {"frame": {"f1": {"per_phase_mean": best}}}})

    def epochs(self, name):
        return []

    def stop(self, name):
        pass
