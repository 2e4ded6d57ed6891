import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from pipeline.checkpoint import load_checkpoint, save_checkpoint
from pipeline.errors import PipelineError
from pipeline.evaluate import stage
from pipeline.feature_store import write_features
from pipeline.networks.temporal import build_temporal
from pipeline.phases import CHOLEC80
from pipeline.tables import write_table

D = 8
NUMBERS = {
    **{"features": D, "phases": 7, "cell": "lstm", "hidden": 4},
    **{"layers": 1, "dropout": 0.0, "bidirectional": False},
}


def features(name, length, weights="w"):
    values = np.random.default_rng(length).normal(size=(length, D)).astype(np.float16)
    attributes = {"video": name, "fps": 1.0, "weights_hash": weights, "fingerprint": name}
    write_features(Path(f"features/{name}.h5"), values, np.arange(float(length)), attributes)


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text("evaluate: {relaxed_seconds: 10}\nruntime: {device: cpu}\n")
    splits = [("a", "train"), ("b", "test"), ("c", "test"), ("z", "test")]
    write_table(pd.DataFrame(splits, columns=["video", "split"]), Path("data/index/splits.csv"))
    write_table(pd.DataFrame({"phase": CHOLEC80}), Path("data/index/phases.csv"))
    runs = [(v, 10 * i, 10 * i + 10, CHOLEC80[i]) for v in "abc" for i in range(4)]
    table = pd.DataFrame(runs, columns=["video", "start_s", "end_s", "phase"])
    write_table(table, Path("data/index/labels.csv"))
    for name, length in (("b", 41), ("c", 50)):
        features(name, length)
    Path("features/skipped.csv").write_text("video,reason\nz,z.mp4 has zero bytes\n")
    save_checkpoint(
        Path("models/backbone.safetensors"),
        {"w": torch.zeros(1)},
        {"name": "resnet50", "weights": "random"},
    )
    torch.manual_seed(0)
    header = {
        **{"kind": "rnn", "numbers": NUMBERS, "phases": list(CHOLEC80), "causal": True},
        **{"weights_hash": "w", "fps": 1.0, "seed": 1, "train": {"lr": 0.1}, "epochs": 2},
        **{"best_epoch": 1, "phases_seen": list(CHOLEC80[:3])},
    }
    weights = build_temporal("rnn", NUMBERS).state_dict()
    save_checkpoint(Path("models/temporal.safetensors"), weights, header)
    Path("reports/train").mkdir(parents=True)
    Path("reports/train/history.csv").write_text(
        "epoch,lr,train_loss,val_loss,val_accuracy,val_macro_f1\n1,0.1,2.0,,,\n2,0.1,1.5,,,\n"
    )
    return tmp_path


def hashes():
    return {
        str(p): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(Path("reports").rglob("*"))
        if p.is_file()
    }


def test_all_outputs_are_written_and_have_the_same_bytes_every_time(project):
    stage.run()
    first = hashes()
    stage.run()
    assert hashes() == first
    for name in ("metrics.json", "index.html", "predictions/b.csv", "plots/ribbons/c.png"):
        assert f"reports/{name}" in first
    assert {"reports/plots/confusion_test.csv", "reports/plots/confusion_test.png"} <= set(first)


def test_the_page_is_self_contained_and_shows_the_figures_of_metrics_json(project):
    stage.run()
    page = Path("reports/index.html").read_text()
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert "http" not in page
    metrics = json.loads(Path("reports/metrics.json").read_text())
    accuracy = metrics["test"]["frame"]["accuracy"]
    assert f"{100 * accuracy['mean']:.1f} ± {100 * accuracy['std']:.1f} %" in page
    relaxed = metrics["test"]["relaxed"]["official"]["accuracy"]["mean"]
    assert f"{100 * relaxed:.1f} ±" in page


def test_the_page_names_untrained_weights_skipped_videos_and_unseen_phases(project):
    stage.run()
    page = Path("reports/index.html").read_text()
    assert "The backbone is untrained" in page
    assert "1 damaged video was left out" in page and "z.mp4 has zero bytes" in page
    assert "Training never saw GallbladderDissection." in page


def test_predictions_hold_probabilities_and_an_empty_truth_where_unlabelled(project):
    stage.run()
    table = pd.read_csv("reports/predictions/c.csv", keep_default_na=False)
    assert len(table) == 50
    assert (table["truth"] == "").sum() == 10
    shares = table[[f"p_{phase}" for phase in CHOLEC80]].to_numpy(dtype=float)
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-4)
    likeliest = np.array(CHOLEC80)[shares.argmax(axis=1)]
    assert (likeliest == table["prediction"]).all()
    metrics = json.loads(Path("reports/metrics.json").read_text())["test"]
    assert metrics["videos"] == 2 and metrics["frames"] == 80


def test_ribbons_go_from_the_worst_video_to_the_best(project):
    stage.run()
    page = Path("reports/index.html").read_text()
    order = re.findall(r'alt="Phases of (\w+) over', page)
    accuracy = {}
    for video in order:
        table = pd.read_csv(f"reports/predictions/{video}.csv", keep_default_na=False)
        table = table[table["truth"] != ""]
        accuracy[video] = (table["truth"] == table["prediction"]).mean()
    assert order == sorted(order, key=accuracy.__getitem__) and len(order) == 2


def test_features_of_another_backbone_are_refused(project):
    for name, length in (("b", 41), ("c", 50)):
        features(name, length, weights="other")
    with pytest.raises(PipelineError, match=r"features/b\.h5: 8-d at 1 fps from backbone other"):
        stage.run()


def test_other_phases_than_the_models_are_refused(project):
    write_table(pd.DataFrame({"phase": ["A", "B"]}), Path("data/index/phases.csv"))
    table = pd.DataFrame([("b", 0, 9, "A")], columns=["video", "start_s", "end_s", "phase"])
    write_table(table, Path("data/index/labels.csv"))
    with pytest.raises(PipelineError, match="trained on the phases Preparation"):
        stage.run()


def test_no_readable_test_video_is_an_error(project):
    Path("features/skipped.csv").write_text("video,reason\nb,x\nc,x\nz,x\n")
    with pytest.raises(PipelineError, match="test has no readable video"):
        stage.run()


def test_the_model_that_is_scored_is_the_one_that_was_saved(project):
    tensors, header = load_checkpoint(Path("models/temporal.safetensors"))
    network, found = stage.load_model(Path("models/temporal.safetensors"), torch.device("cpu"))
    assert found == header
    assert torch.equal(network.head.weight, tensors["head.weight"])
