"""The command `explain`: what it draws, and what it says of what it cannot draw."""

import csv
import json
import shutil
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import pytest
from explained_project import make_project
from typer.testing import CliRunner

from pipeline.checkpoint import load_checkpoint, save_checkpoint, tensors_hash
from pipeline.cli import app
from pipeline.errors import PipelineError
from pipeline.evaluate import stage
from pipeline.explain.command import explain
from pipeline.explain.request import clock, find_video, read_seconds, sample_at
from pipeline.feature_store import read_features, write_features
from pipeline.frame_store import FrameFile, Samples, write_frames
from pipeline.networks.backbones import build_backbone
from pipeline.networks.temporal.params import rebuilt
from pipeline.saliency import moment
from pipeline.saliency.models import read_models
from pipeline.saliency.moment import read_moment

OUT = Path("reports/explain")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("explained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        make_project()
    return folder


@pytest.fixture
def explained(made, tmp_path, monkeypatch):
    """A copy of the project, as the current folder."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_picture_per_moment_and_a_line_for_each(explained):
    result = CliRunner().invoke(app, ["explain", "b", "--at", "0:12", "--at", "40.5"])
    assert result.exit_code == 0, result.output
    first, second = result.output.splitlines()
    assert first.startswith("b, 0:12: truth CalotTriangleDissection, predicted ")
    assert first.endswith(" %: reports/explain/b_0-12.png")
    assert second.startswith("b, 0:40: truth unlabelled, predicted ")
    # Where truth and prediction differ there is a column for each.
    wide, narrow = (cv2.imread(str(OUT / f"b_0-{at}.png")) for at in (12, 40))
    assert wide.shape[1] > narrow.shape[1] > 300


def test_the_same_moment_gives_the_same_bytes(explained):
    for folder in (OUT, Path("other")):
        explain("c", ["7"], folder)
    assert (OUT / "c_0-07.png").read_bytes() == Path("other/c_0-07.png").read_bytes()


def test_probabilities_are_those_of_the_report(explained):
    stage.run()
    with Path("reports/predictions/b.csv").open() as file:
        rows = list(csv.DictReader(file))
    models = read_models()
    for sample in (0, 12, 40):
        expected = [float(value) for key, value in rows[sample].items() if key.startswith("p_")]
        found = read_moment(models, "b", sample).probabilities
        np.testing.assert_allclose(found, expected, atol=2e-3)  # features are kept as float16


def test_a_video_is_found_by_its_name_and_by_its_file(explained):
    Path("params.yaml").write_text("data: {root: data/ours, layout: csv}\n")
    assert find_video("c") == "c"
    assert find_video("data/ours/videos/c.mp4") == "c"
    assert find_video(str(Path("data/ours/videos/c.mp4").resolve())) == "c"


def test_an_unknown_video_offers_the_nearest(explained):
    table = Path("data/index/videos.csv")
    table.write_text(table.read_text().replace("\nb,", "\noperation11,"))
    with pytest.raises(PipelineError, match=r"opration11: none of the 4.*mean operation11\?"):
        find_video("opration11")
    with pytest.raises(PipelineError, match=r"none of the 4 videos of data/index/videos\.csv"):
        find_video("elsewhere/xyz.mp4")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("12:30", 750),
        ("1:02:30", 3750),
        ("90", 90),
        ("7.25", 7.25),
        ("0:07.5", 7.5),
        ("75:00", 4500),
    ],
)
def test_times_are_read_as_players_show_them(text, seconds):
    assert read_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "1:2", "1:60", "1:75:00", "-3", "12m", "1:2:3:4", "nan"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(PipelineError, match=r"no time\. Write M:SS, H:MM:SS or seconds"):
        read_seconds(text)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (65.48, "1:05.48"), (3725.5, "1:02:05.5"), (59.999, "1:00")]
)
def test_times_are_written_as_players_show_them(seconds, text):
    assert clock(seconds) == text
    assert read_seconds(clock(seconds)) == pytest.approx(seconds, abs=0.01)


def test_the_sample_is_the_one_that_is_shown_then():
    times = np.array([0.0, 0.48, 1.0, 1.48])
    found = [sample_at("v", text, times, 2.0) for text in ("0", "0.4", "0.48", "0.9", "1.9")]
    assert found == [0, 0, 1, 1, 3]
    with pytest.raises(PipelineError, match=r"--at 0:02: v is over by then.*at 0:01\.48"):
        sample_at("v", "0:02", times, 2.0)


def test_frames_that_are_not_there_or_others(explained):
    shutil.rmtree("data/frames")
    with pytest.raises(PipelineError, match=r"data/frames/b\.h5: not found.*dvc repro frames"):
        explain("b", ["3"], OUT)
    path = Path("features/videos/c.h5")
    found = read_features(path)
    attributes = dict(found.attributes) | {"frames_fingerprint": "others"}
    write_features(path, found.features, found.time_s, attributes)
    write_frames(Path("data/frames/c.h5"), [(b"", 0.0)], {"fingerprint": "new"})
    with pytest.raises(PipelineError, match=r"c\.h5: made from other frames.*dvc repro features"):
        explain("c", ["3"], OUT)
    assert not OUT.exists()


@pytest.mark.parametrize("name", ["backbone", "temporal"])
def test_a_missing_model(explained, name):
    Path(f"models/{name}.safetensors").unlink()
    with pytest.raises(PipelineError, match=rf"models/{name}\.safetensors: not found"):
        explain("b", ["3"], OUT)


def test_models_that_do_not_belong_together(explained):
    path = Path("models/backbone.safetensors")
    tensors, header = load_checkpoint(path)
    save_checkpoint(path, tensors | {"conv1.weight": 2 * tensors["conv1.weight"]}, header)
    with pytest.raises(PipelineError, match=r"but models/temporal\.safetensors was trained on"):
        explain("b", ["3"], OUT)


def test_a_backbone_of_clips_has_the_map_of_its_sample(explained):
    backbone = build_backbone("x3d_xs@4")
    tensors = dict(backbone.network.state_dict())
    clip = {"frames": 4, "stride_s": 1, "position": "past"}
    header = {"name": "x3d_xs@4", "transform": asdict(backbone.transform), "clip": clip}
    save_checkpoint(Path("models/backbone.safetensors"), tensors, header)
    recipe = {"fps": "1", "sample_fps": "1", "clip": clip}
    Path("data/frames/recipe.json").write_text(json.dumps(recipe))
    path, weights = Path("features/videos/b.h5"), tensors_hash(tensors)
    found = read_features(path)
    rows = np.zeros((len(found.time_s), backbone.dim), np.float16)
    write_features(path, rows, found.time_s, dict(found.attributes) | {"weights_hash": weights})
    _, trained = load_checkpoint(Path("models/temporal.safetensors"))
    trained |= {"dim": backbone.dim, "weights_hash": weights}
    save_checkpoint(Path("models/temporal.safetensors"), rebuilt(trained).state_dict(), trained)
    models = read_models()
    found = read_moment(models, "b", 7)
    assert found.images[0].shape[:3] == (1, 4, 3)
    with FrameFile(Path("data/frames/b.h5")) as frames:
        assert np.array_equal(found.frame, frames.image(7))
    assert "b_0-07.png" in explain("b", ["7"], OUT)


def test_features_that_are_means_over_views_are_refused(explained):
    path = Path("features/videos/b.h5")
    found = read_features(path)
    attributes = dict(found.attributes) | {"tta": "flip"}
    write_features(path, found.features, found.time_s, attributes)
    with pytest.raises(PipelineError, match=r"b\.h5: means over several views.*tta: flip"):
        explain("b", ["3"], OUT)


def test_a_lost_frame_names_the_nearest_one(explained):
    rows = np.arange(41)[:, None]
    rows[5:7] = -1
    write_frames(
        Path("data/frames/b.h5"),
        [(b"", float(i)) for i in range(41)],
        {"fingerprint": "frames of b"},
        Samples(rows, np.arange(41.0)),
    )
    with pytest.raises(PipelineError, match=r"the frame at 6 s could not.*nearest one is at 7 s"):
        explain("b", ["6"], OUT)


def test_a_backbone_without_maps_and_attention_is_said_in_a_line(explained, monkeypatch):
    whole = moment.trace
    monkeypatch.setattr(
        moment, "trace", lambda *given: type(whole(*given))(whole(*given).logits, [])
    )
    assert explain("b", ["3"], OUT).endswith("; resnet18 has neither maps nor attention to draw")
    assert not OUT.exists()


def test_models_of_single_images_have_no_moments(project):
    path = Path("models/temporal.safetensors")
    tensors, header = load_checkpoint(path)
    save_checkpoint(path, tensors, header | {"frames": {"fps": 1, "decoder": "pillow"}})
    with pytest.raises(PipelineError, match=r"task\.kind: images.*moments of videos"):
        explain("b", ["3"], OUT)
