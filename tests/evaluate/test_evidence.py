"""Grad-CAM of the worst runs on the report page."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from explained_project import make_project

from pipeline.checkpoint import load_checkpoint, save_checkpoint
from pipeline.evaluate import stage
from pipeline.evaluate.error_analysis import WrongRun
from pipeline.evaluate.evidence import evidence
from pipeline.frame_store import Samples, write_frames

PAGE = Path("reports/index.html")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("explained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        make_project()
        stage.run()
    return folder


@pytest.fixture
def explained(made, tmp_path, monkeypatch):
    """A copy of the project after the evaluate stage, as the current folder."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def results():
    return {
        path: path.read_bytes()
        for path in Path("reports").rglob("*")
        if path.is_file() and path != PAGE
    }


def test_each_worst_run_has_a_map_of_its_predicted_phase(explained):
    page = PAGE.read_text().partition('<h2 id="worst">')[2].partition("</section>")[0]
    runs = len(re.findall(r'<div class="run">', page))
    shown = re.findall(r'alt="Grad-CAM of (\w+) over the frame of (\w) at [\d:]+"', page)
    predicted = re.findall(r"taken for <span.*?</span>\s*(\w+)", page)
    assert runs == len(shown) == len(predicted) >= 2
    assert [phase for phase, _ in shown] == predicted
    assert "where in the middle frame the predicted phase came from" in page


def test_the_page_is_the_same_again_and_without_frames_only_the_pictures_are_gone(explained):
    page, others = PAGE.read_bytes(), results()
    stage.run()
    assert PAGE.read_bytes() == page
    shutil.rmtree("data/frames")
    stage.run()
    assert "Grad-CAM" not in PAGE.read_text()
    assert results() == others


def test_other_weights_draw_no_map(explained):
    path = Path("models/backbone.safetensors")
    tensors, header = load_checkpoint(path)
    save_checkpoint(path, tensors | {"conv1.weight": 2 * tensors["conv1.weight"]}, header)
    stage.run()
    page = PAGE.read_text()
    assert "Grad-CAM" not in page and 'alt="Frame of b at' in page


def test_a_run_whose_middle_frame_was_lost_has_no_map(explained):
    rows = [[i if i != 5 else -1] for i in range(41)]
    write_frames(
        Path("data/frames/b.h5"),
        [(b"", float(i)) for i in range(41)],
        {"fingerprint": "frames of b"},
        Samples(np.array(rows), np.arange(41.0)),
    )
    of_c = WrongRun("c", 4, 7, 0, 1)
    runs = [WrongRun("b", 4, 7, 0, 1), of_c]
    assert list(evidence(runs, {"b": None, "c": None})) == [of_c]
