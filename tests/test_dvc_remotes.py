"""A colleague clones, pulls features and models, and trains without frames or videos."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml
from scored_project import write_video

from pipeline.phases import CHOLEC80
from pipeline.tables import write_table

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow


def run(folder, *command):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("DVC_")} | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(folder),
    }
    identity = ("-c", "user.name=Test", "-c", "user.email=test@example.org")
    if command[0] == "git":
        command = ("git", *identity, *command[1:])
    result = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, f"{command}\n{result.stdout}\n{result.stderr}"
    return result.stdout + result.stderr


def change(folder, **values):
    params = yaml.safe_load((folder / "params.yaml").read_text())
    for section, new in values.items():
        params[section] |= new
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))


@pytest.fixture
def original(tmp_path, monkeypatch):
    """A project that has run as far as its features, with a remote in a folder."""
    folder = tmp_path / "original"
    ignored = shutil.ignore_patterns("__pycache__", "cache", "tmp")
    for name in ("pipeline", ".dvc"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    for name in ("dvc.yaml", "params.yaml", ".dvcignore", ".gitignore"):
        shutil.copy(ROOT / name, folder / name)
    change(
        folder,
        data={"root": "data/videos"},
        model={"hidden": 8, "layers": 1},
        train={"epochs": 1, "early_stop": 1},
        runtime={"threads": 1},
    )
    monkeypatch.chdir(folder)
    splits = {"video": ["a", "b", "c"], "split": ["train", "val", "test"]}
    write_table(pd.DataFrame(splits), Path("data/index/splits.csv"))
    write_table(pd.DataFrame({"phase": CHOLEC80}), Path("data/index/phases.csv"))
    runs = [(v, 10 * i, 10 * i + 10, CHOLEC80[i]) for v in "abc" for i in range(4)]
    table = pd.DataFrame(runs, columns=["video", "start_s", "end_s", "phase"])
    write_table(table, Path("data/index/labels.csv"))
    for name in "abc":
        write_video(name, 45)
    files = {"path": "", "sha256": "", "width": 64, "height": 64, "fps": 25.0}
    files |= {"frames": 1000, "duration_s": 40.0, "problem": ""}
    write_table(pd.DataFrame({"video": list("abc")}).assign(**files), Path("data/index/videos.csv"))
    codecs = pd.DataFrame({"video": list("abc"), "codec": "h264"})
    write_table(codecs, Path("data/index/codecs.csv"))
    Path("data/videos").mkdir()
    Path("data/videos/a.mp4").write_text("of a patient")
    stages = yaml.safe_load(Path("dvc.yaml").read_text())["stages"]
    for stage in ("index", "frames", "backbone", "features"):
        for out in map(Path, stages[stage]["outs"]):
            if out.suffix and not out.exists():
                out.parent.mkdir(parents=True, exist_ok=True)
                out.write_text(f"{out}\n")
            elif not out.suffix:
                out.mkdir(parents=True, exist_ok=True)
    for name, columns in (("skipped", "video,reason"), ("masked", "video,lost,samples")):
        Path(f"features/videos/{name}.csv").write_text(f"{columns}\n")
    Path("data/frames/recipe.json").write_text("{}")
    Path("reports/backbone/metrics.json").write_text("{}")
    Path(".gitignore").write_text(Path(".gitignore").read_text() + "/data/videos\n")
    run(folder, "git", "init", "-q")
    run(folder, "dvc", "remote", "add", "-q", "-d", "lab", str(tmp_path / "remote"))
    run(folder, "dvc", "commit", "-q", "-f", "index", "frames", "backbone", "features")
    run(folder, "git", "add", "-A")
    run(folder, "git", "commit", "-q", "-m", "Features")
    run(folder, "dvc", "push", "-q", "index", "features", "backbone")
    return folder


def test_a_colleague_trains_from_pulled_features_without_frames_or_videos(original, tmp_path):
    clone = tmp_path / "clone"
    run(tmp_path, "git", "clone", "-q", str(original), str(clone))
    run(clone, "dvc", "pull", "-q", "features/videos", "models/backbone.safetensors")
    change(clone, train={"lr": 0.01})
    text = run(clone, "dvc", "repro", "--pull", "--allow-missing", "train")
    assert re.findall(r"Running stage '(\w+)'", text) == ["train"]
    assert (clone / "models/temporal.safetensors").is_file()
    assert not (clone / "data/frames").exists() and not (clone / "data/videos").exists()
    assert not (clone / ".store/features").exists()
