import json
import queue
import shutil
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tiny_models import CLASSES, make_models
from videos import write_video

from pipeline import cli
from pipeline.checkpoint import load_checkpoint, save_checkpoint
from pipeline.errors import PipelineError
from pipeline.predict import command
from pipeline.predict.command import Request, predict_videos
from pipeline.predict.devices import devices_for
from pipeline.predict.elan import eaf
from pipeline.predict.inputs import find_videos
from pipeline.predict.prediction import Prediction, Segment
from pipeline.predict.subtitles import webvtt
from pipeline.seen import features_seen


@pytest.fixture(scope="module")
def _made(tmp_path_factory):
    """Models, and two videos of 12 and 8 seconds, made once."""
    folder = tmp_path_factory.mktemp("made")
    make_models(folder / "models")
    write_video(folder / "op/a.mp4", 12 * 5, fps=5)
    write_video(folder / "op/b.mp4", 8 * 5, fps=5)
    return folder


@pytest.fixture
def models(_made, workplace, monkeypatch):
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")  # other tests run beside this one
    shutil.copytree(_made, workplace, dirs_exist_ok=True)
    return workplace


def run(*asked, **options):
    options = {"models": Path("models"), "out": Path("out"), "device": "cpu", "jobs": 1} | options
    return predict_videos(asked, Request(**options))


def read(name):
    return json.loads(Path(f"out/{name}.json").read_text())


def table(name):
    return pd.read_csv(f"out/{name}.csv", keep_default_na=False)


def test_a_folder_of_videos_becomes_tables_segments_subtitles_and_documents(models):
    assert run("op") == "out: 2 videos, 2 predicted"
    assert sorted(p.name for p in Path("out").iterdir()) == [
        f"{name}{ending}" for name in "ab" for ending in (".csv", ".eaf", ".html", ".json", ".vtt")
    ]
    found, segments = table("a"), read("a")["segments"]
    assert list(found) == ["time_s", "prediction", *(f"p_{name}" for name in CLASSES)]
    assert found["time_s"].tolist() == list(range(12))
    probabilities = found[[f"p_{name}" for name in CLASSES]].to_numpy()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert found["prediction"].tolist() == [CLASSES[i] for i in probabilities.argmax(axis=1)]
    # The segments tell the same as the rows.
    labels = [s["class"] for s in segments for _ in range(round(s["end_s"] - s["start_s"]))]
    assert labels == found["prediction"].tolist()
    assert [s["start_s"] for s in segments[1:]] == [s["end_s"] for s in segments[:-1]]
    first = segments[0]
    rows = found[: round(first["end_s"])][f"p_{first['class']}"]
    assert first["confidence"] == pytest.approx(rows.mean(), abs=1e-5)


def test_no_project_is_needed(models, tmp_path_factory, monkeypatch):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    monkeypatch.chdir(elsewhere)
    run(str(models / "op/b.mp4"), models=models / "models")
    assert sorted(p.name for p in elsewhere.iterdir()) == ["out"]


def test_another_process_writes_the_same_files(models):
    run("op/b.mp4")
    expected = {p.name: p.read_bytes() for p in Path("out").iterdir()}
    shutil.rmtree("out")
    # What each of several processes does, without the seconds that it takes to start one.
    devices = queue.SimpleQueue()
    devices.put("cpu")
    command._start(Path("models"), 64, 1, devices)
    command._write_here(Path("op/b.mp4"), Request(Path("models"), Path("out")))
    command._predictor.close()
    command._predictor = command._recipe = None
    assert {p.name: p.read_bytes() for p in Path("out").iterdir()} == expected


def test_there_is_a_video_per_gpu_or_so_many_as_are_asked_for(monkeypatch):
    import torch

    assert devices_for("cpu", 3) == ["cpu"] * 3
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert devices_for("auto", 0) == ["cuda:0", "cuda:1"]
    assert devices_for("auto", 3) == ["cuda:0", "cuda:1", "cuda:0"]
    assert devices_for("cuda:1", 0) == ["cuda:1"]


def test_a_finished_video_is_left_and_all_else_is_done(models):
    run("op")
    before = {p: p.stat().st_mtime_ns for p in Path("out").iterdir()}
    assert run("op") == "out: 2 videos, 0 predicted, 2 were there already"
    assert before == {p: p.stat().st_mtime_ns for p in Path("out").iterdir()}
    Path("out/a.vtt").unlink()  # as if it had been killed
    assert "1 predicted, 1 were" in run("op")
    write_video(Path("op/b.mp4"), 9 * 5, fps=5)  # another video of that name
    assert "1 predicted, 1 were" in run("op")
    assert len(table("b")) == 9
    make_models(seed=1)
    assert "1 predicted" in run("op/a.mp4", abstain=0.9)


def test_uncertain_stretches_stay_without_a_phase(models):
    run("op/a.mp4")
    whole = table("a")
    best = whole[[f"p_{name}" for name in CLASSES]].max(axis=1)
    least = float(best.median())
    run("op/a.mp4", abstain=least)
    found = table("a")
    assert 0 < (found["prediction"] == "").sum() < len(found)
    for row, label in enumerate(found["prediction"]):
        assert label == ("" if best[row] < least else whole["prediction"][row])
    covered = sum(s["end_s"] - s["start_s"] for s in read("a")["segments"])
    assert covered == pytest.approx((found["prediction"] != "").sum())


def test_damaged_videos_are_summed_up_and_the_others_done(models, shared_data, monkeypatch, capsys):
    for name in ("corrupted.mp4", "audio_only.mp3", "zero_bytes.webm", "empty_262_bytes.mp4"):
        shutil.copy(shared_data / "decode" / name, "op")
    line = "surgphase predict op/*.mp4 op/audio_only.mp3 op --device cpu --out out"
    monkeypatch.setattr(sys, "argv", line.split())
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 1
    error = capsys.readouterr().err
    last = error[error.index("ERROR:") :].strip().splitlines()
    assert last[0].startswith("ERROR: 4 of 6 videos failed; the others are in out")
    for name in ("corrupted", "audio_only", "zero_bytes", "empty_262_bytes"):
        assert sum(f"{name}: " in found for found in last[1:]) == 1
    assert {p.stem for p in Path("out").iterdir()} == {"a", "b"}


def test_masked_damage_is_predicted_and_said(models, shared_data):
    _, header = load_checkpoint(Path("models/temporal.safetensors"))
    make_models(frames=header["frames"] | {"on_error": "mask"})
    run(str(shared_data / "decode/corrupted.mp4"))
    assert any("samples lost" in line for line in read("corrupted")["warnings"])


def test_features_far_from_those_of_training_come_with_a_warning(models):
    tensors, header = load_checkpoint(Path("models/temporal.safetensors"))
    dim, random = header["dim"], np.random.default_rng(0)
    alike = [random.normal(0, 1, (50, dim)) + random.normal(0, 0.3, dim) for _ in range(4)]
    path = Path("models/temporal.safetensors")
    save_checkpoint(path, tensors, header | {"seen": features_seen(alike)})
    run("op/a.mp4")
    assert not any("times as far" in line for line in read("a")["warnings"])
    save_checkpoint(path, tensors, header | {"seen": features_seen(a + 30 for a in alike)})
    run("op/a.mp4")
    assert any("times as far" in line for line in read("a")["warnings"])


def test_a_small_and_slow_video_comes_with_a_warning(models):
    make_models(frames={"fps": 6, "short_side": 96}, fps=6.0)
    run("op/b.mp4")
    small, slow = read("b")["warnings"]
    assert "160 x 64 pixels" in small
    assert "5 frames per second, but 6 are taken" in slow


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda m: (m / "temporal.safetensors").unlink(), "temporal.safetensors: not found"),
        (
            lambda m: (m / "backbone.safetensors").write_bytes(b"nothing"),
            "not a whole safetensors file",
        ),
        (lambda m: make_models(Path("other"), 5) or _mixed(m), "but .* was trained on features of"),
        (lambda m: shutil.copy(m / "backbone.safetensors", m / "temporal.safetensors"), "header"),
        (lambda m: make_models(frames=None), "says nothing of frames"),
        (lambda m: make_models(features={"precision": "int8"}), "is int8, whose scales"),
        (lambda m: make_models(frames={"fps": 0}), r"frames.fps: found 0"),
        (
            lambda m: make_models(frames={"fps": 1, "decoder": "pillow"}),
            "op: a folder without images. These models are of single images",
        ),
    ],
)
def test_models_that_cannot_be_used_are_named_before_anything_is_done(models, spoil, message):
    spoil(Path("models"))
    with pytest.raises(PipelineError, match=message) as error:
        run("op")
    assert len(str(error.value).splitlines()) == 1
    assert not Path("out").exists() or not list(Path("out").iterdir())


def _mixed(folder):
    shutil.copy("other/backbone.safetensors", folder)


def test_names_that_mean_nothing_or_the_same_are_refused(models):
    with pytest.raises(PipelineError, match=r"op/x\.mp4: no such file"):
        run("op/x.mp4")
    Path("empty").mkdir()
    with pytest.raises(PipelineError, match="empty: a folder without videos"):
        run("empty")
    write_video(Path("other/a.mp4"), 5, fps=5)
    with pytest.raises(PipelineError, match=r"would all be written to a\.csv"):
        run("op", "other")
    assert [p.name for p in find_videos(["op/b.mp4", "op", "op/*.mp4"])] == ["b.mp4", "a.mp4"]
    with pytest.raises(PipelineError, match="--device: found cuda:99"):
        run("op", device="cuda:99")


@pytest.mark.parametrize("abstain", ["nan", "1.5", "-0.1"])
def test_a_model_abstains_below_a_probability_only(abstain, models, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", f"surgphase predict op --abstain {abstain}".split())
    with pytest.raises(SystemExit):
        cli.main()
    assert "abstain" in capsys.readouterr().err
    with pytest.raises(PipelineError, match=r"--abstain: found .*Allowed: 0 to 1"):
        run("op", abstain=float(abstain))
    assert not Path("out").exists() or not list(Path("out").iterdir())


SEGMENTS = [
    Segment(0.0, 61.04, CLASSES[1], 0.875),
    Segment(3661.0, 36000.5, "a & b --> c", 1.0),
]


def test_subtitles_are_read_by_another_parser(tmp_path):
    webvtt_py = pytest.importorskip("webvtt")
    path = tmp_path / "s.vtt"
    path.write_text(webvtt(SEGMENTS), encoding="utf-8")
    cues = webvtt_py.read(str(path)).captions
    assert [(c.start, c.end) for c in cues] == [
        ("00:00:00.000", "00:01:01.040"),
        ("01:01:01.000", "10:00:00.500"),
    ]
    assert cues[0].text.startswith("Clipping & <cutting>") or "&lt;cutting&gt;" in cues[0].raw_text
    assert webvtt([]).startswith("WEBVTT\n")


def test_a_document_of_elan_is_as_its_schema_wants_and_another_reader_finds_all(tmp_path):
    pympi = pytest.importorskip("pympi")
    path = tmp_path / "s.eaf"
    path.write_text(eaf(SEGMENTS, "../op/a video.mp4"), encoding="utf-8")
    document = pympi.Elan.Eaf(str(path))
    assert document.get_annotation_data_for_tier("prediction") == [
        (0, 61040, CLASSES[1]),
        (3661000, 36000500, "a & b --> c"),
    ]
    assert document.media_descriptors[0]["RELATIVE_MEDIA_URL"] == "../op/a%20video.mp4"
    # EAFv3.0.xsd: the order of the elements, required attributes, unique and resolved references.
    root = ET.parse(path).getroot()
    order = [child.tag for child in root]
    assert order == ["HEADER", "TIME_ORDER", "TIER", "LINGUISTIC_TYPE"]
    assert {"AUTHOR", "DATE", "VERSION"} <= set(root.attrib)
    assert [child.tag for child in root[0]] == ["MEDIA_DESCRIPTOR", "PROPERTY"]
    assert {"MEDIA_URL", "MIME_TYPE"} <= set(root[0][0].attrib)
    slots = [slot.attrib["TIME_SLOT_ID"] for slot in root.iter("TIME_SLOT")]
    ids = [a.attrib["ANNOTATION_ID"] for a in root.iter("ALIGNABLE_ANNOTATION")]
    assert len(set(slots)) == len(slots) == 2 * len(ids) == 2 * len(set(ids))
    for annotation in root.iter("ALIGNABLE_ANNOTATION"):
        assert {annotation.get("TIME_SLOT_REF1"), annotation.get("TIME_SLOT_REF2")} <= set(slots)
    types = {t.get("LINGUISTIC_TYPE_ID") for t in root.iter("LINGUISTIC_TYPE")}
    assert root.find("TIER").get("LINGUISTIC_TYPE_REF") in types


def test_segments_end_where_the_next_sample_begins():
    probabilities = np.array([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8], [0.6, 0.4]], dtype=np.float32)
    prediction = Prediction(
        ("x", "y"), 2.0, np.array([0.0, 0.5, 1.1, 1.5]), np.array([0, 0, 1, -1]), probabilities
    )
    assert prediction.labels == ["x", "x", "y", ""]
    assert [(s.start_s, s.end_s, s.label) for s in prediction.segments] == [
        (0.0, 1.1, "x"),
        (1.1, 1.5, "y"),
    ]
    assert prediction.segments[0].confidence == pytest.approx(0.8)
