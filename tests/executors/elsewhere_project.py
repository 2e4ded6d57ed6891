"""Stages run here and elsewhere, to be compared."""

import hashlib
import shutil
from pathlib import Path

import pandas as pd
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


def check_frames(executor):
    """Frames of two videos and of a damaged one: the same files, here and elsewhere."""
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
    _compare(_FRAMES, executor, frames_stage.run, Path("data/frames"), "*")


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
        self.killed, self.trained, self._values = killed, {}, {}

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
        history = pd.read_csv("reports/train/history.csv")
        return Outcome(
            {"val": {"frame": {"f1": {"per_phase_mean": history["val_macro_f1"].max()}}}}
        )

    def epochs(self, name):
        return []

    def stop(self, name):
        pass
