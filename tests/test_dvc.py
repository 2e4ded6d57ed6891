"""What re-runs when something changes, with real DVC in a temporary git repository."""

import pytest
import yaml
from dvc_project import added_video

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def project(dvc_project, tmp_path_factory):
    return dvc_project(tmp_path_factory.mktemp("project") / "rows")


def test_neither_runtime_nor_another_kinds_parameters_run_anything(project):
    before = yaml.safe_load((project.folder / "params.yaml").read_text())
    project.change("runtime.workers", 2)
    project.change("runtime.progress", "lines")
    project.change("model.tecno.maps", before["model"]["tecno"]["maps"] + 1)
    ran, text = project.repro()
    assert ran == []
    assert "up to date" in text
    project.change("model.tecno.maps", before["model"]["tecno"]["maps"])


def test_the_table_of_what_reruns(project):
    """Row by row as documented; each repro also takes the change before it back.

    What only that one touched does not run: the run cache answers.
    """
    first = project.outputs()
    expected = {
        ("model.rnn", "gru"): {"train", "evaluate"},
        ("evaluate.relaxed_seconds", 5): {"evaluate"},
        ("backbone.weights", "w.pth"): {"backbone", "features", "train", "evaluate"},
        ("frames.fps", 1): {"frames", "backbone", "features", "train", "evaluate"},
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
    # Back to the first parameters: nothing runs, and the outputs are what they were.
    assert project.repro()[0] == []
    assert project.outputs() == first


def test_a_corrected_label_decodes_no_frame_and_computes_no_feature(project):
    table = project.folder / "data/ours/phases.csv"
    old = table.read_text()
    rows = old.splitlines()
    rows[1] = rows[1].replace(rows[1].split(",")[3], rows[2].split(",")[3])
    table.write_text("\n".join(rows) + "\n")
    assert set(project.repro()[0]) == {"index", "train", "evaluate"}
    table.write_text(old)  # the next repro takes it back too: the run cache answers


def test_a_new_video_costs_one_video(project):
    with added_video(project):
        ran, text = project.repro()
        assert set(ran) == {"index", "frames", "features", "train", "evaluate"}
        assert "5 videos, 1 extracted" in text
        assert "5 videos, 1 computed" in text
    assert project.repro()[0] == []
