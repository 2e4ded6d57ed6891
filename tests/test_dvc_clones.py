"""The same results elsewhere, and beside code that somebody added."""

import hashlib
import shutil

import pytest
from dvc_project import COLD, ROOT, STAGES, Project

from pipeline.checkpoint import read_header

CONTRIBUTED = ROOT / "tests/contributed"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def project(dvc_project, tmp_path_factory):
    return dvc_project(tmp_path_factory.mktemp("project") / "origin")


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
    # Of commands that start from nothing, as a user's do.
    other = Project(clone, COLD)
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
