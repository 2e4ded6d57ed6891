"""The stage from params.yaml to models/backbone.safetensors and reports/backbone."""

import json
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from frames_project import FRAMES, PHASES, make_project, settings

from pipeline.backbone import loop, stage
from pipeline.checkpoint import load_checkpoint, tensors_hash
from pipeline.errors import PipelineError
from pipeline.networks.backbones import build_backbone

OUTPUT = Path("models/backbone.safetensors")
REPORTS = Path("reports/backbone")


def test_the_stage_writes_curves_metrics_predictions_and_pictures(project):
    settings({"epochs": 6})
    line = stage.run()
    assert "fine-tuned on 36 frames" in line
    table = pd.read_csv(REPORTS / "predictions.csv")
    assert list(table.columns) == ["img_id", "true_label", "predicted_label"]
    assert table["img_id"].tolist() == [f"c_{k:06d}" for k in range(FRAMES)]
    metrics = json.loads((REPORTS / "metrics.json").read_text())
    accuracy = (table["true_label"] == table["predicted_label"]).mean()
    history = pd.read_csv(REPORTS / "history.csv")
    assert list(history.columns) == [
        *("epoch", "lr", "trained_children", "train_loss"),
        *("val_loss", "val_accuracy", "val_macro_f1"),
    ]
    tensors, header = load_checkpoint(OUTPUT)
    best = history.loc[history["epoch"] == header["finetune"]["best_epoch"]].iloc[0]
    # The kept weights score what their epoch scored, however much was trained afterwards.
    assert metrics["frame"]["accuracy"] == pytest.approx(accuracy, abs=1e-6)
    assert best["val_accuracy"] == pytest.approx(accuracy, abs=1e-6)
    assert best["val_macro_f1"] == history["val_macro_f1"].max()
    assert metrics["frame"]["macro_f1"] == pytest.approx(best["val_macro_f1"], abs=1e-6)
    assert history["train_loss"].iloc[-1] < 0.9 * history["train_loss"].iloc[0]
    for name in ("curves.png", "confusion.png", "plots/metrics/val_loss.tsv"):
        assert (REPORTS / name).stat().st_size > 0
    build_backbone("tiny_cnn").network.load_state_dict(tensors)


def test_the_header_says_all_that_leads_to_features_and_names_no_folder(project):
    stage.run()
    tensors, header = load_checkpoint(OUTPUT)
    assert header["name"] == "tiny_cnn" and header["dim"] == 16 and header["mode"] == "finetune"
    assert header["transform"]["crop_px"] == 224
    assert header["tensors_hash"] == tensors_hash(tensors)
    assert header["frames"] == {"fps": "1", "short_side": 40}
    assert header["params"]["crop"] == 32 and header["params"]["finetune"]["epochs"] == 2
    assert "freeze_until" not in header["params"]["finetune"]
    assert header["finetune"]["classes"] == list(PHASES)
    assert {"torch", "torchvision"} <= header["libraries"].keys()
    assert str(project) not in json.dumps(header) and "/" not in header["weights"]


def test_frame_metrics_count_what_never_occurs_as_the_documentation_says(project):
    from pipeline.backbone.report import frame_metrics

    #                   A  B  C  D, predicted; C is never there, D neither there nor predicted
    matrix = np.array([[3, 1, 0, 0], [0, 0, 2, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
    found = frame_metrics(matrix, ("A", "B", "C", "D"))
    assert found["accuracy"] == 0.5 and set(found["phase"]) == {"A", "B", "C"}
    assert found["phase"]["A"] == {"precision": 1.0, "recall": 0.75, "f1": 0.857143, "frames": 4}
    assert found["phase"]["C"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "frames": 0}
    assert found["macro_f1"] == pytest.approx(0.857143 / 3, abs=1e-6)


def test_test_videos_are_never_read_and_only_training_frames_augmented(project, monkeypatch):
    Path("data/frames/d.h5").unlink()
    drawn = []
    original = loop.augment

    def counted(*arguments):
        drawn.append(arguments[1])
        return original(*arguments)

    monkeypatch.setattr(loop, "augment", counted)
    stage.run()
    assert len(drawn) == 2 * 2 * FRAMES  # epochs, training videos
    assert len(set(drawn)) == len(drawn)  # anew for each frame in each epoch


def test_the_stage_reports_the_tools(project):
    make_project({"tools": 1.0, "epochs": 1, "head": "mlp"}, tools=True)
    stage.run()
    metrics = json.loads((REPORTS / "metrics.json").read_text())
    assert 0 <= metrics["tools"]["Hook"]["average_precision"] <= 1


def test_a_transformer_is_fine_tuned_like_any_other(project):
    settings({"strategy": "two_stage", "unfreeze_epoch": 2}, name="tiny_vit")
    assert "tiny_vit, weights random, fine-tuned on 36 frames" in stage.run()


def test_without_validation_or_labels_the_way_out_is_named(project):
    settings({"early_stop": 5})
    table = Path("data/index/splits.csv")
    table.write_text(table.read_text().replace("c,val\n", ""))
    with pytest.raises(PipelineError, match=r"no labelled frame in val.*early_stop: 0"):
        stage.run()
    settings({"early_stop": 0})
    assert "epoch 2" in stage.run()
    assert not (REPORTS / "predictions.csv").exists()
    Path("data/index/labels.csv").write_text("video,start_s,end_s,phase\n")
    with pytest.raises(PipelineError, match=r"labels\.csv: no frame of the training videos"):
        stage.run()


def test_a_validation_loss_that_is_not_finite_stops_with_the_way_out(project, monkeypatch):
    def not_finite(fabric, network, frames, batch, workers):
        return torch.full((len(frames), 3), float("nan")), torch.zeros(len(frames), 0)

    monkeypatch.setattr(loop, "predict", not_finite)
    with pytest.raises(PipelineError, match=r"validation loss of epoch 1 is nan.*32-true"):
        stage.run()


def test_a_damaged_frame_is_named_with_its_container(project):
    with h5py.File("data/frames/b.h5", "r+") as file:
        file["jpeg"][4] = np.frombuffer(b"no picture at all", dtype=np.uint8)
    with pytest.raises(PipelineError, match=r"data/frames/b\.h5: a frame is not a readable JPEG"):
        stage.run()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": "resnet17"}, r"backbone\.name: found 'resnet17'\. .*Allowed: .*resnet18"),
        (
            {"finetune": {"strategy": "freeze_until", "freeze_until": 5}},
            r"freeze_until: found 5, which freezes all of tiny_cnn\. Allowed: 1 to 4;",
        ),
        (
            {"name": "tiny_vit", "mode": "adabn"},
            r"mode: found adabn, but tiny_vit has no batch norm.*Allowed for it: frozen, finetune",
        ),
    ],
)
def test_what_only_the_family_knows_is_checked_first(project, values, message):
    settings(values.pop("finetune", None), **values)
    with pytest.raises(PipelineError, match=message):
        stage.run()


def test_several_processes_on_a_cpu_are_refused(project):
    settings(devices=2)
    with pytest.raises(PipelineError, match=r"runtime\.devices: found 2, .*without a GPU: 1"):
        stage.run()
