"""Post-processing through the stages: fitted in train, kept in the model, applied in evaluate."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from pipeline.checkpoint import load_checkpoint, save_checkpoint
from pipeline.errors import PipelineError
from pipeline.evaluate import stage as evaluate
from pipeline.feature_store import write_features
from pipeline.tables import write_table
from pipeline.train import members, stage

PHASES = ("A", "B", "C")
SPLITS = {"a": "train", "b": "train", "c": "val", "d": "test", "e": "test"}
LENGTH = 90
MODEL = Path("models/temporal.safetensors")


def settings(early_stop=2, **postprocess):
    params = {
        "seed": 3,
        "data": {"root": "x", "layout": "csv"},
        "split": {"scheme": "column"},
        "model": {"kind": "linear"},
        "train": {"epochs": 8, "lr": 0.05, "early_stop": early_stop},
        "evaluate": {"relaxed_seconds": 10, "bootstrap": 0, "map": "pca"},
        "runtime": {"device": "cpu", "threads": 1, "progress": "none"},
    }
    if postprocess:
        params["postprocess"] = postprocess
    Path("params.yaml").write_text(yaml.safe_dump(params))


@pytest.fixture
def project(workplace):
    """Five videos whose phases a frame alone tells often, but not always."""
    for seed, name in enumerate(SPLITS):
        noise = np.random.default_rng(seed).normal(0, 1.2, (LENGTH, 8))
        features = 2 * np.eye(3, 8)[np.arange(LENGTH) * 3 // LENGTH] + noise
        attributes = {"video": name, "fps": 1.0, "weights_hash": "w", "fingerprint": name}
        path = Path(f"features/videos/{name}.h5")
        write_features(path, features.astype(np.float16), np.arange(float(LENGTH)), attributes)
    table = pd.DataFrame(SPLITS.items(), columns=["video", "split"])
    write_table(table, Path("data/index/splits.csv"))
    runs = [(v, 30 * i, 30 * i + 30, PHASES[i]) for v in SPLITS for i in range(3)]
    labels = pd.DataFrame(runs, columns=["video", "start_s", "end_s", "phase"])
    write_table(labels, Path("data/index/labels.csv"))
    write_table(pd.DataFrame({"phase": PHASES}), Path("data/index/phases.csv"))
    Path("features/videos/skipped.csv").write_text("video,reason\n")
    backbone = {"name": "resnet18", "weights": "random", "params": {"name": "resnet18"}}
    save_checkpoint(Path("models/backbone.safetensors"), {"w": torch.zeros(1)}, backbone)
    return workplace


def header():
    return load_checkpoint(MODEL)[1]


def test_it_is_fitted_without_a_new_training_and_off_leaves_the_file_as_it_was(
    project, monkeypatch
):
    settings()
    stage.run()
    before = MODEL.read_bytes()
    monkeypatch.setattr(members, "train", lambda *_: pytest.fail("trained again"))
    settings(kind="none", online=False, seconds=None, temperature=False)
    stage.run()
    assert MODEL.read_bytes() == before
    settings(kind="viterbi", temperature=True)
    stage.run()
    fitted = MODEL.read_bytes()
    assert header()["temperature"] > 0
    assert header()["postprocess"]["params"]["kind"] == "viterbi"
    stage.run()
    assert MODEL.read_bytes() == fitted
    Path("before.safetensors").write_bytes(before)
    tensors, _ = load_checkpoint(MODEL)
    for name, value in load_checkpoint(Path("before.safetensors"))[0].items():
        assert torch.equal(tensors[name], value)


def test_labels_of_test_videos_and_their_features_change_nothing(project):
    settings(kind="viterbi", temperature=True)
    stage.run()
    before = MODEL.read_bytes()
    path = Path("data/index/labels.csv")
    path.write_text(path.read_text().replace("d,0,30,A", "d,0,30,C"))
    for name in "de":
        Path(f"features/videos/{name}.h5").unlink()
    stage.run()
    assert MODEL.read_bytes() == before
    path.write_text(path.read_text().replace("c,0,30,A", "c,0,25,A"))
    stage.run()
    assert MODEL.read_bytes() != before


def test_the_report_says_what_was_done_and_shows_both_figures(project):
    settings(kind="min_duration", temperature=True)
    stage.run()
    evaluate.run()
    details = json.loads(Path("reports/details.json").read_text())["test"]
    before = details["unprocessed"]
    assert details["frame"]["accuracy"]["mean"] > before["frame"]["accuracy"]["mean"]
    assert details["segment"]["edit"]["mean"] > before["segment"]["edit"]["mean"] + 0.3
    metrics = json.loads(Path("reports/metrics.json").read_text())["test"]
    assert metrics["frame"]["accuracy"]["mean"] == details["frame"]["accuracy"]["mean"]
    assert "unprocessed" not in metrics
    page = Path("reports/index.html").read_text()
    assert "Before and after post-processing" in page
    assert (
        "short runs merged (offline), shortest run" in page
        and "yes (offline post-processing)" in page
    )
    assert f"logits divided by {header()['temperature']:.3f}" in page
    assert '"postprocess.kind":"min_duration"' in page
    assert '"postprocess.seconds":"none"' in page
    settings()
    stage.run()
    evaluate.run()
    alone = json.loads(Path("reports/details.json").read_text())["test"]
    assert "unprocessed" not in alone
    assert alone["frame"]["f1"]["per_phase_mean"] == before["frame"]["f1"]["per_phase_mean"]
    assert alone["calibration"]["ece"] == before["calibration"]["ece"]
    assert "post-processing" not in Path("reports/index.html").read_text()


@pytest.mark.parametrize("values", [{"temperature": True}, {"kind": "median"}])
def test_without_validation_it_is_refused_or_needs_a_given_duration(project, values):
    path = Path("data/index/splits.csv")
    path.write_text(path.read_text().replace("c,val", "c,train"))
    settings(early_stop=0, **values)
    with pytest.raises(PipelineError, match=r"val has a label, but postprocess\.\w+ is \w+"):
        stage.run()
    settings(early_stop=0, kind="viterbi", seconds=5)
    stage.run()
    assert header()["postprocess"]["seconds"] == 5


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kind": "min_duration", "online": True}, "needs the whole video. Set online: false"),
        ({"kind": "mode"}, "postprocess.kind: found 'mode'"),
        ({"seconds": -1}, "postprocess.seconds: found -1"),
        ({"second": 1}, "postprocess.second: unknown key. Did you mean `seconds`"),
    ],
)
def test_what_is_impossible_is_named(project, values, message):
    settings(**values)
    with pytest.raises(PipelineError) as error:
        stage.run()
    assert message in str(error.value)
