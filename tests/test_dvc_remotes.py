"""A colleague clones, pulls features and models, and trains without frames or videos."""

import pytest
from dvc_project import Project

pytestmark = pytest.mark.slow


def test_a_colleague_trains_from_pulled_features_without_frames_or_videos(dvc_project, tmp_path):
    original = dvc_project(tmp_path / "original")
    original.run("dvc", "remote", "add", "-q", "-d", "lab", str(tmp_path / "remote"))
    original.run("git", "add", "-A")
    original.run("git", "commit", "-q", "-m", "Results, and where they are")
    original.run("dvc", "push", "-q", "index", "features", "backbone")

    clone = Project(tmp_path / "clone", original.commands)
    original.run("git", "clone", "-q", ".", str(clone.folder))
    clone.run("dvc", "pull", "-q", "features/videos", "models/backbone.safetensors")
    clone.change("train.lr", 0.01)
    ran, _ = clone.repro("--pull", "--allow-missing", "train")

    assert ran == ["train"]
    assert (clone.folder / "models/temporal.safetensors").is_file()
    assert not (clone.folder / "data/frames").exists()
    assert not (clone.folder / "data/ours").exists()
    assert not (clone.folder / ".store/features").exists()
