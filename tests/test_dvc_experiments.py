"""DVC's experiments on a project that has run: one, a queue, and a fine-tuned backbone."""

import json
import re
import time

import pytest
import yaml
from dvc_project import added_video

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def project(dvc_project, tmp_path_factory):
    return dvc_project(tmp_path_factory.mktemp("project") / "experiments")


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
    deadline = time.monotonic() + 1800
    while re.search("Queued|Running", status := project.run("dvc", "queue", "status")):
        assert time.monotonic() < deadline, status
        time.sleep(4)  # seldom: each look costs as much as a stage
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
