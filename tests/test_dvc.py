"""What re-runs when something changes, with real DVC in a temporary git repository."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from pipeline.checkpoint import read_header
from pipeline.demo.render import render_demo

ROOT = Path(__file__).parents[1]
CONTRIBUTED = ROOT / "tests/contributed"
pytestmark = pytest.mark.slow
STAGES = ("index", "frames", "backbone", "features", "train", "evaluate")


class Project:
    """A copy of the pipeline with three short operations and a small backbone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copytree(
            ROOT / "pipeline", folder / "pipeline", ignore=shutil.ignore_patterns("__pycache__")
        )
        for name in ("dvc.yaml", ".dvcignore", ".gitignore"):
            shutil.copy(ROOT / name, folder / name)
        shutil.copytree(
            ROOT / ".dvc", folder / ".dvc", ignore=shutil.ignore_patterns("cache", "tmp")
        )
        params = yaml.safe_load((ROOT / "params.yaml").read_text())
        params["data"]["root"] = "data/ours"
        params["frames"]["short_side"] = 64
        params["backbone"]["name"] = "resnet18"
        params["features"]["crop"] = params["backbone"]["crop"] = 64
        params["backbone"]["finetune"] |= {"epochs": 1, "strategy": "whole"}
        params["model"] |= {"hidden": 8, "layers": 1}
        params["train"] |= {"epochs": 2, "early_stop": 1}
        params["evaluate"]["bootstrap"] = 50
        params["runtime"]["threads"] = 1
        (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
        render_demo(folder / "data/ours", operations=4, seconds=(9, 12))
        table = folder / "data/ours/phases.csv"
        text = table.read_text()
        for number, split in enumerate(("train", "train", "val", "test"), start=1):
            text = re.sub(rf"(operation0{number},.*,)\w+\n", rf"\1{split}\n", text)
        table.write_text(text)
        ignored = folder / ".gitignore"
        ignored.write_text(ignored.read_text() + "/data/ours\n/w.pth\n")
        self.commit_all()

    def commit_all(self) -> None:
        self.run("git", "init", "-q")
        self.run("git", "config", "user.name", "Test")
        self.run("git", "config", "user.email", "test@example.org")
        self.run("git", "add", "-A")
        self.run("git", "commit", "-q", "-m", "Start")

    def run(self, *command: str) -> str:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("DVC_")} | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(self.folder),
        }
        result = subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, f"{command}\n{result.stdout}\n{result.stderr}"
        return result.stdout + result.stderr

    def repro(self, *target: str) -> tuple[list[str], str]:
        """The stages whose command ran, and what was printed; up to `target`, or all."""
        text = self.run("dvc", "repro", *target)
        return re.findall(r"Running stage '(\w+)'", text), text

    def change(self, key: str, value: object) -> None:
        params = yaml.safe_load((self.folder / "params.yaml").read_text())
        *sections, last = key.split(".")
        node = params
        for section in sections:
            node = node[section]
        node[last] = value
        (self.folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))

    def edit(self, path: str, old: str, new: str) -> None:
        file = self.folder / path
        text = file.read_text()
        assert text.count(old) == 1, f"{path}: {old}"
        file.write_text(text.replace(old, new))

    def outputs(self) -> dict[str, str]:
        lock = yaml.safe_load((self.folder / "dvc.lock").read_text())["stages"]
        return {out["path"]: out["md5"] for s in lock.values() for out in s["outs"]}


@contextmanager
def added_video(project: Project) -> Iterator[None]:
    """A fifth operation for testing, the fourth one once more; away again behind the block."""
    videos = project.folder / "data/ours/videos"
    table = project.folder / "data/ours/phases.csv"
    old = table.read_text()
    # With an empty box at its end: the store knows the content of the fourth by any name.
    content = (videos / "operation04.mp4").read_bytes()
    (videos / "operation05.mp4").write_bytes(content + b"\0\0\0\x08free")
    rows = [row for row in old.splitlines() if row.startswith("operation04")]
    table.write_text(old + "".join(row.replace("04", "05", 1) + "\n" for row in rows))
    yield
    (videos / "operation05.mp4").unlink()
    table.write_text(old)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    made = Project(tmp_path_factory.mktemp("project"))
    ran, _ = made.repro()
    assert set(ran) == set(STAGES)
    return made


def test_neither_runtime_nor_another_kinds_parameters_run_anything(project):
    ran, text = project.repro()
    assert ran == []
    assert "up to date" in text
    before = yaml.safe_load((project.folder / "params.yaml").read_text())
    project.change("runtime.workers", 2)
    project.change("runtime.progress", "lines")
    project.change("model.tecno.maps", before["model"]["tecno"]["maps"] + 1)
    assert project.repro()[0] == []
    project.change("model.tecno.maps", before["model"]["tecno"]["maps"])


def test_the_table_of_what_reruns(project):
    """Row by row as documented, each change on top of a finished run and then taken back."""
    first = project.outputs()
    expected = {
        ("model.rnn", "gru"): {"train", "evaluate"},
        ("evaluate.relaxed_seconds", 5): {"evaluate"},
        ("backbone.weights", "w.pth"): {"backbone", "features", "train", "evaluate"},
        ("frames.fps", 3): {"frames", "backbone", "features", "train", "evaluate"},
    }
    import torch
    import torchvision

    torch.manual_seed(9)
    torch.save(torchvision.models.resnet18().state_dict(), project.folder / "w.pth")
    before = yaml.safe_load((project.folder / "params.yaml").read_text())
    for (key, value), stages in expected.items():
        project.change(key, value)
        assert set(project.repro()[0]) == stages, key
        section, name = key.split(".")
        project.change(key, before[section][name])
        # Back to earlier parameters: the run cache answers, and the outputs are what they were.
        ran, _ = project.repro()
        assert ran == [], f"back from {key}"
        assert project.outputs() == first


def test_a_corrected_label_decodes_no_frame_and_computes_no_feature(project):
    table = project.folder / "data/ours/phases.csv"
    old = table.read_text()
    rows = old.splitlines()
    rows[1] = rows[1].replace(rows[1].split(",")[3], rows[2].split(",")[3])
    table.write_text("\n".join(rows) + "\n")
    assert set(project.repro()[0]) == {"index", "train", "evaluate"}
    table.write_text(old)
    assert project.repro()[0] == []


def test_a_new_video_costs_one_video(project):
    with added_video(project):
        ran, text = project.repro()
        assert set(ran) == {"index", "frames", "features", "train", "evaluate"}
        assert "5 videos, 1 extracted" in text
        assert "5 videos, 1 computed" in text
    assert project.repro()[0] == []


def test_an_experiment_runs_what_its_change_needs(project):
    project.run("git", "add", "-A")
    project.run("git", "commit", "-q", "-m", "Results")
    text = project.run("dvc", "exp", "run", "-S", "model.kind=tecno", "-S", "train.lr=0.00001")
    assert re.findall(r"Running stage '(\w+)'", text) == ["train", "evaluate"]
    shown = json.loads(project.run("dvc", "metrics", "diff", "--json"))
    assert any("frame" in key for key in shown["reports/metrics.json"])
    project.run("git", "checkout", "-q", ".")
    project.run("dvc", "checkout", "-q")
    assert project.repro()[0] == []


def test_a_queue_trains_each_kind_of_a_list(project):
    project.run("git", "add", "-A")
    project.run("git", "commit", "-q", "--allow-empty", "-m", "Results")
    # The data are neither in git nor in DVC here, so the copies of the repository need them.
    put = ("dvc", "exp", "run", "--queue", "-C", "data/ours", "-n", "kinds")
    project.run(*put, "-S", "model.kind=rnn,tecno", "train")
    project.run("dvc", "queue", "start", "-j", "1")
    deadline = time.monotonic() + 300
    while re.search("Queued|Running", status := project.run("dvc", "queue", "status")):
        assert time.monotonic() < deadline, status
        time.sleep(1)
    project.run("dvc", "queue", "stop")
    assert status.count("Success") == 2, status
    experiments = project.run("git", "for-each-ref", "refs/exps")
    trained = set()
    for number, kind in enumerate(("rnn", "tecno"), start=1):
        (name,) = re.findall(rf"\S+/kinds-{number}", experiments)
        lock = yaml.safe_load(project.run("git", "show", f"{name}:dvc.lock"))["stages"]["train"]
        assert lock["params"]["params.yaml"]["model.kind"] == kind
        trained |= {out["md5"] for out in lock["outs"] if "temporal" in out["path"]}
    assert len(trained) == 2
    assert not project.run("git", "status", "--short", "params.yaml", "dvc.lock")


def test_a_finetuned_backbone_follows_the_labels_it_learnt_from_and_nothing_else(project):
    """An experiment on the way there, and the frozen backbone's results on the way back."""
    project.run("git", "add", "-A")
    project.run("git", "commit", "-q", "--allow-empty", "-m", "Results")
    text = project.run("dvc", "exp", "run", "-S", "backbone.mode=finetune")
    stages = ["backbone", "features", "train", "evaluate"]
    assert re.findall(r"Running stage '(\w+)'", text) == stages
    assert (project.folder / "reports/backbone/predictions.csv").is_file()
    page = (project.folder / "reports/index.html").read_text()
    assert "fine-tuned on" in page and "The backbone is untrained" not in page

    with added_video(project):  # a test video: it teaches nothing
        # The run cache answers for index and frames, where another test has added this video.
        assert set(project.repro("backbone")[0]) <= {"index", "frames"}
    table = project.folder / "data/ours/phases.csv"
    old = table.read_text()
    rows = old.splitlines()
    # Not the correction of the other test: of that the run cache knows the tables.
    rows[2] = rows[2].replace(rows[2].split(",")[3], rows[1].split(",")[3])
    table.write_text("\n".join(rows) + "\n")
    assert "backbone" in project.repro("backbone")[0]
    table.write_text(old)
    assert project.repro()[0] == []
    project.run("git", "checkout", "-q", ".")
    project.run("dvc", "checkout", "-q")
    assert project.repro()[0] == []
    assert not (project.folder / "reports/backbone/predictions.csv").exists()


def test_two_clones_give_the_same_hashes(project, tmp_path):
    clone = tmp_path / "clone"
    tracked = ("pipeline", "params.yaml", "dvc.yaml", ".dvcignore", ".gitignore", "data/ours")
    for name in tracked:
        source, target = project.folder / name, clone / name
        target.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copy)(source, target)
    shutil.copytree(
        project.folder / ".dvc", clone / ".dvc", ignore=shutil.ignore_patterns("cache", "tmp")
    )
    other = Project.__new__(Project)
    other.folder = clone
    other.commit_all()
    assert set(other.repro()[0]) == set(STAGES)
    assert other.outputs() == project.outputs()
    page = (clone / "reports/index.html").read_bytes()
    ours = (project.folder / "reports/index.html").read_bytes()
    assert hashlib.sha256(page).digest() == hashlib.sha256(ours).digest()


def test_contributions_and_comments_compute_nothing_that_was_computed(project):
    """The three of docs/contributing.md, and code that was reread, in a project that has run."""
    networks, layouts = "pipeline/networks", "pipeline/index/layouts"
    for source, target in (
        ("toy_temporal.py", f"{networks}/temporal/toy.py"),
        ("toy_backbone.py", f"{networks}/backbones/toy.py"),
        ("toy_layout.py", f"{layouts}/toy.py"),
    ):
        shutil.copy(CONTRIBUTED / source, project.folder / target)
    # At most three lines each, the section of params.yaml aside.
    project.edit(f"{networks}/temporal/__init__.py", "    tecno,\n", "    tecno,\n    toy,\n")
    project.edit(
        f"{networks}/temporal/__init__.py", "row_bilstm,\n}", 'row_bilstm,\n    "toy": toy,\n}'
    )
    backbones = f"{networks}/backbones/__init__.py"
    project.edit(backbones, "    timm_models,\n    video", "    timm_models,\n    toy,\n    video")
    project.edit(backbones, "pixels,\n}", 'pixels,\n    "toy": toy,\n}')
    project.edit(
        f"{layouts}/__init__.py", 'frame_study",\n}', 'frame_study",\n    "toy": "toy",\n}'
    )
    project.change("model.toy", {"dropout": 0.2})
    for module in ("features/encode.py", "frames/extract.py", "train/loop.py", "index/stage.py"):
        file = project.folder / "pipeline" / module
        file.write_text(file.read_text() + "\n# A comment that somebody added later.\n")

    before = project.outputs()
    ran, text = project.repro()
    assert {"index", "frames", "features", "train"} <= set(ran)
    assert "4 videos, 0 extracted" in text
    assert "4 videos, 0 computed" in text
    assert ", from the store" in text  # the trained model
    assert project.outputs() == before

    project.change("model.kind", "toy")
    project.change("backbone.name", "toy")
    ran, text = project.repro()
    assert set(ran) == {"backbone", "features", "train", "evaluate"}
    assert "4 videos, 4 computed" in text
    assert read_header(project.folder / "models/temporal.safetensors")["kind"] == "toy"
    assert read_header(project.folder / "models/backbone.safetensors")["name"] == "toy"
    assert "toy" in (project.folder / "reports/index.html").read_text()
    project.change("data.layout", "toy")
    assert project.repro("index")[0] == ["index"]
    assert (project.folder / "data/index/phases.csv").read_text() == "phase\nfirst\nsecond\n"
