"""What the report says of the features."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from planted import sequence, videos

from pipeline.drawing.beside import drawn_beside
from pipeline.errors import PipelineError
from pipeline.evaluate import bad_moments, stage
from pipeline.evaluate.error_analysis import WrongRun
from pipeline.evaluate.feature_view import feature_view
from pipeline.feature_store import write_features

CLASSES = ("A", "B", "C")


@pytest.fixture
def files(workplace):
    """The files of the planted videos, which say that no frames are there."""

    def write(sequences):
        for s in sequences:
            write_features(Path(f"features/videos/{s.video}.h5"), s.features, s.time_s, {})
        return sequences

    return write


def test_the_map_holds_training_and_test_frames_in_the_order_of_the_videos(files):
    found = files(videos(5, frames=40))
    with drawn_beside() as draw:
        view = feature_view(found[:3], found[3:], [], CLASSES, "pca", Path("plots"), draw)
    table = pd.read_csv("plots/features_map.csv")
    assert list(table["split"]) == ["train"] * 120 + ["test"] * 80
    assert list(table["video"].unique()) == [s.video for s in found]
    assert list(table["phase"][:40].unique()) == list(CLASSES)
    assert (view.training_frames, view.test_frames) == (120, 80)
    assert all(path.is_file() for path in view.pictures.values())
    assert view.separation.nearest_elsewhere.found > 0.99


def test_the_neighbours_of_a_bad_moment_are_labelled_and_apart_in_time(files):
    random = np.random.default_rng(0)
    training = [
        sequence(f"t{i}", random.normal(size=(200, 16)), np.arange(200) // 67) for i in range(2)
    ]
    training[1].labels[120:] = -1
    test = [sequence("x", random.normal(size=(50, 16)), np.zeros(50))]
    # The middle frame of the run resembles one moment of t1 and one without a label.
    test[0].features[14] = training[0].features[150] = training[1].features[80]
    training[0].features[151] = training[1].features[150] = training[1].features[80]
    files([*training, *test])
    (found,) = bad_moments.bad_moments(training, test, [WrongRun("x", 10, 20, 0, 1)])
    assert (found.frame.video, found.frame.time_s, found.frame.label) == ("x", 14, 0)
    assert [(m.video, m.time_s, m.label) for m in found.neighbours[:2]] == [
        ("t0", 150, 2),
        ("t1", 80, 1),
    ]
    assert found.neighbours[0].cosine == pytest.approx(1) and found.neighbours[0].pictures == []
    assert len(found.neighbours) == 5 and all(m.label >= 0 for m in found.neighbours)
    for name in ("t0", "t1"):
        times = np.sort([m.time_s for m in found.neighbours if m.video == name])
        assert (np.diff(times) > 30).all()


def page_text():
    return Path("reports/index.html").read_text()


def test_the_page_shows_map_shares_and_neighbours_with_their_frames(evaluated):
    text = page_text()
    block = text[text.index('id="features"') : text.index('id="training"')]
    assert block.count("data:image/png") == 2
    assert block.count("<tr><th scope=") == 3
    assert 'alt="Frame of a at' in block and "the frame itself" in block
    assert "40 training frames" in block and "80 test frames" in block


def test_without_labelled_training_videos_there_is_no_block(project):
    labels = pd.read_csv("data/index/labels.csv")
    labels[labels["video"] != "a"].to_csv("data/index/labels.csv", index=False)
    stage.run()
    assert 'id="features"' not in page_text() and "#features" not in page_text()


def test_a_map_by_umap_without_umap_stops_with_what_installs_it(project, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "umap", None)
    params = Path("params.yaml").read_text()
    Path("params.yaml").write_text(params.replace("map: pca", "map: umap"))
    with pytest.raises(PipelineError, match=r"surgical-phase-pipeline\[umap\]"):
        stage.run()
