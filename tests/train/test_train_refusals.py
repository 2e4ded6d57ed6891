"""What stops the train stage, with the way out."""

from pathlib import Path

import pytest
from train_project import add_video, make_project, settings

from pipeline.errors import PipelineError
from pipeline.train import stage


@pytest.fixture
def project(workplace):
    make_project()
    return workplace


def test_without_validation_the_way_out_is_named_and_taken(project):
    table = Path("data/index/splits.csv")
    table.write_text(table.read_text().replace("d,val\n", ""))
    with pytest.raises(
        PipelineError, match=r"no readable video in val has a label.*train\.early_stop: 0"
    ):
        stage.run()
    settings(early_stop=0, epochs=4)
    assert "epoch 4/4, no validation" in stage.run()


def test_a_training_phase_that_the_network_has_not_is_named(project):
    text = Path("params.yaml").read_text()
    Path("params.yaml").write_text(text.replace("lr: 0.01", "lr: 0.01, phases: {tcn: {lr: 0.1}}"))
    with pytest.raises(
        PipelineError, match=r"train\.phases: found tcn, but model\.kind: rnn is trained in all\."
    ):
        stage.run()


def test_features_of_other_parameters_are_named(project):
    add_video("b", 1, 36, weights="x" * 64)
    with pytest.raises(
        PipelineError, match=r"features/videos/b\.h5: made with other parameters than a"
    ):
        stage.run()
    add_video("b", 1, 36, width=5)
    with pytest.raises(
        PipelineError, match=r"features/videos/b\.h5: 5-d features, but those of a are 12"
    ):
        stage.run()


def test_missing_features_are_an_error_unless_the_video_was_skipped(project):
    Path("features/videos/b.h5").unlink()
    with pytest.raises(PipelineError, match=r"features/videos/b\.h5: not found"):
        stage.run()
    Path("features/videos/skipped.csv").write_text("video,reason\nb,zero bytes\n")
    stage.run()


def test_a_label_outside_the_phases_is_named(project):
    table = Path("data/index/labels.csv")
    table.write_text(table.read_text().replace(",C\n", ",Z\n"))
    with pytest.raises(PipelineError, match=r"unknown phase Z\. Allowed: A, B, C"):
        stage.run()
