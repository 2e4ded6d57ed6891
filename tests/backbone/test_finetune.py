import json
import sys
from pathlib import Path

import lightning_fabric
import numpy as np
import pandas as pd
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
from frames_project import FRAMES, make_project, settings

from pipeline.backbone import finetune, stage
from pipeline.backbone.classifier import FrameClassifier
from pipeline.backbone.finetune import Epoch, steps_of
from pipeline.backbone.labelled_frames import read_frames
from pipeline.backbone.params_finetune import FinetuneParams
from pipeline.backbone.weights import random_weights
from pipeline.checkpoint import load_checkpoint
from pipeline.errors import PipelineError
from pipeline.networks.backbones.cnn import build_cnn
from pipeline.networks.backbones.transform import Transform

TRANSFORM = Transform(256, 224, "bilinear", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)).cropped(
    32
)


def classifier(checkpointing=False, tools=0, head="linear"):
    torch.manual_seed(1)
    network = FrameClassifier("resnet18", TRANSFORM, 3, tools, head, checkpointing)
    network.cnn.load_state_dict(random_weights("resnet18", 1))
    return network


def state_of(network):
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def trained(params, workers=1, on_epoch=lambda row: None, state=Path("state"), fabric=None):
    network = classifier(params.checkpointing)
    result = finetune.finetune(
        fabric or lightning_fabric.Fabric(accelerator="cpu", devices=1),
        network,
        read_frames(("train",)).labelled(),
        read_frames(("val",)).labelled(),
        params,
        3,
        state,
        workers,
        lambda epoch, step, steps: None,
        on_epoch,
    )
    return result, state_of(network)


def params_of(**values):
    chosen = {"strategy": "whole", "backbone_lr": 1.0, "lr": 1e-3, "epochs": 2, "batch": 12}
    return FinetuneParams(**(chosen | {"early_stop": 0} | values))


def equal(one, two):
    return one.keys() == two.keys() and all(torch.equal(one[k], two[k]) for k in one)


CHILDREN = ("conv1", "bn1", "layer1", "layer2", "layer3", "layer4")


@pytest.mark.parametrize(
    ("values", "per_epoch"),
    [
        ({"strategy": "head"}, [(), ()]),
        ({"strategy": "whole"}, [CHILDREN, CHILDREN]),
        ({"strategy": "two_stage", "unfreeze_epoch": 2}, [(), CHILDREN]),
        ({"strategy": "freeze_until", "freeze_until": 6}, [CHILDREN[4:], CHILDREN[4:]]),
        ({"strategy": "freeze_until", "freeze_until": 1}, [CHILDREN[1:], CHILDREN[1:]]),
        ({"strategy": "progressive", "unfreeze_every": 1}, [(), CHILDREN[5:], CHILDREN[4:]]),
    ],
)
def test_a_strategy_trains_exactly_the_children_it_says(project, monkeypatch, values, per_epoch):
    """Weights and batch-norm statistics: a child changes in an epoch, or not in a single bit."""
    seen = []
    original = finetune.set_trained

    def watched(network, first):
        seen.append(state_of(network))
        original(network, first)

    monkeypatch.setattr(finetune, "set_trained", watched)
    _, last = trained(params_of(epochs=len(per_epoch), **values))
    seen.append(last)
    for epoch, names in enumerate(per_epoch):
        before, after = seen[epoch], seen[epoch + 1]
        changed = {key.split(".")[1] for key in before if not torch.equal(before[key], after[key])}
        assert changed == {"weight", "bias", *names}  # those of the head, and the children's
        for child in names:
            own = [key for key in before if key.startswith(f"cnn.{child}.")]
            assert all(not torch.equal(before[key], after[key]) for key in own), child


def test_rates_fall_from_the_head_down(project):
    from pipeline.backbone.strategy import parameter_groups

    network = classifier()
    groups = parameter_groups(network, params_of(backbone_lr=0.1, layer_decay=0.5))
    rates = [group["rate"] for group in groups]
    assert rates == pytest.approx([1, 0.1, 0.05, 0.025, 0.0125, 0.00625, 0.003125])
    assert groups[0]["params"][0] is network.phases.weight
    assert groups[-1]["params"][0] is network.cnn.conv1.weight
    assert sum(len(g["params"]) for g in groups) == len(list(network.parameters()))


@pytest.mark.parametrize("values", [{"strategy": "whole"}, {"strategy": "progressive"}])
def test_a_resumed_training_gives_the_weights_of_an_undisturbed_one(project, values):
    chosen = params_of(epochs=4, unfreeze_every=1, scheduler="plateau", **values)
    whole, last = trained(chosen, state=Path("one"))

    class Killed(Exception):
        pass

    def kill(row):
        if row.epoch == 2:
            raise Killed

    with pytest.raises(Killed):
        trained(chosen, on_epoch=kill, state=Path("two"))
    rows = []
    resumed, resumed_last = trained(chosen, on_epoch=rows.append, state=Path("two"))
    assert [row.epoch for row in rows] == [1, 2, 3, 4]
    assert equal(last, resumed_last)
    assert equal(whole.weights, resumed.weights)
    assert whole.history == resumed.history


def test_weights_do_not_depend_on_workers(project):
    one, two = (
        trained(params_of(), 1, state=Path("one")),
        trained(params_of(), 4, state=Path("two")),
    )
    assert equal(one[1], two[1])


def test_checkpointing_changes_neither_weights_nor_statistics(project):
    plain = trained(params_of(epochs=1), state=Path("one"))[1]
    recomputed = trained(params_of(epochs=1, checkpointing=True), state=Path("two"))[1]
    for name, tensor in plain.items():
        torch.testing.assert_close(recomputed[name], tensor, rtol=0, atol=0)


def test_two_accumulated_passes_are_one_of_twice_the_batch(project):
    """Where no batch norm sees how a step is cut: the head alone."""
    whole = trained(params_of(strategy="head", batch=12), state=Path("one"))
    halves = trained(params_of(strategy="head", batch=6, accumulate=2), state=Path("two"))
    for name, tensor in whole[1].items():
        torch.testing.assert_close(halves[1][name], tensor, rtol=1e-5, atol=1e-6)
    assert halves[0].history[-1].train_loss == pytest.approx(whole[0].history[-1].train_loss, 1e-5)


def test_the_stage_writes_curves_metrics_predictions_and_pictures(project):
    settings({"epochs": 6})
    line = stage.run()
    assert "fine-tuned on 36 frames" in line
    folder = Path("reports/backbone")
    table = pd.read_csv(folder / "predictions.csv")
    assert list(table.columns) == ["img_id", "true_label", "predicted_label"]
    assert table["img_id"].tolist() == [f"c_{k:06d}" for k in range(FRAMES)]
    metrics = json.loads((folder / "metrics.json").read_text())
    accuracy = (table["true_label"] == table["predicted_label"]).mean()
    history = pd.read_csv(folder / "history.csv")
    tensors, header = load_checkpoint(Path("models/backbone.safetensors"))
    best = history.loc[history["epoch"] == header["finetune"]["best_epoch"]].iloc[0]
    # The kept weights score what their epoch scored, however much was trained afterwards.
    assert metrics["frame"]["accuracy"] == pytest.approx(accuracy, abs=1e-6)
    assert best["val_accuracy"] == pytest.approx(accuracy, abs=1e-6)
    assert best["val_macro_f1"] == history["val_macro_f1"].max()
    assert history["train_loss"].iloc[-1] < 0.9 * history["train_loss"].iloc[0]
    for name in ("curves.png", "confusion.png", "plots/metrics/val_loss.tsv"):
        assert (folder / name).stat().st_size > 0
    build_cnn("resnet18").load_state_dict(tensors)
    assert {"name", "weights", "transform", "feature_size", "mode", "seed"} <= header.keys()
    assert header["transform"]["crop_px"] == 224
    assert not list(Path(".store/backbone").iterdir())


def test_the_same_study_gives_the_same_bytes(project):
    def outputs():
        files = [Path("models/backbone.safetensors"), *Path("reports/backbone").rglob("*")]
        return {str(path): path.read_bytes() for path in files if path.is_file()}

    stage.run()
    first = outputs()
    stage.run()
    assert outputs() == first


def test_test_videos_are_never_read_and_only_training_frames_augmented(project, monkeypatch):
    Path("data/frames/d.h5").unlink()
    drawn = []
    original = finetune.augment

    def counted(*arguments):
        drawn.append(arguments[1])
        return original(*arguments)

    monkeypatch.setattr(finetune, "augment", counted)
    stage.run()
    assert len(drawn) == 2 * 2 * FRAMES  # epochs, training videos
    assert len(set(drawn)) == len(drawn)  # anew for each frame in each epoch


def test_validation_sees_frames_as_the_features_stage_does(project):
    """Logits of the classifier are its head on the features of the CNN, plainly transformed."""
    from pipeline.frame_store import FrameFile

    network = classifier()
    frames = read_frames(("val",)).labelled()
    fabric = lightning_fabric.Fabric(accelerator="cpu", devices=1)
    logits, _ = finetune.predict(fabric, network, frames, 5, 2)
    with FrameFile(Path("data/frames/c.h5")) as file:
        images = [torch.from_numpy(file.image(k)).permute(2, 0, 1) for k in range(FRAMES)]
    pixels = TRANSFORM.normalise(torch.stack([TRANSFORM.prepare(x) for x in images]))
    with torch.inference_mode():
        expected = network.phases(network.cnn.eval()(pixels))
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-5)


def test_tools_are_learnt_beside_the_phases_where_there_are_labels(project):
    """On the frames that were learnt, by the head alone: random features tell it little."""
    make_project(tools=True)
    frames = read_frames(("train",)).labelled()
    fabric = lightning_fabric.Fabric(accelerator="cpu", devices=1)

    def cross_entropy(network):
        """Of the hook, which goes with a phase; the other tool is there every second frame."""
        logits = finetune.predict(fabric, network, frames, 12, 1)[1][:, 0]
        truth = torch.from_numpy(frames.tools)[:, 0]
        known = ~torch.isnan(truth)
        return torch.nn.functional.binary_cross_entropy_with_logits(logits[known], truth[known])

    losses = {}
    for weight in (0.0, 1.0):
        network = classifier(tools=frames.tools.shape[1])
        before = cross_entropy(network)
        params = params_of(tools=weight, epochs=10, strategy="head", lr=1e-2)
        arguments = (frames, frames, params, 3, Path(f"state{weight}"), 1)
        result = finetune.finetune(fabric, network, *arguments, lambda *_: None, lambda row: None)
        losses[weight] = float(cross_entropy(network) / before)
        assert len(result.history) == 10
    assert losses[1.0] < 0.98, losses
    assert losses[0.0] == pytest.approx(1, abs=1e-4)


def test_the_stage_reports_the_tools(project):
    make_project({"tools": 1.0, "epochs": 1, "head": "mlp"}, tools=True)
    stage.run()
    metrics = json.loads(Path("reports/backbone/metrics.json").read_text())
    assert 0 <= metrics["tools"]["Hook"]["average_precision"] <= 1


def test_without_validation_or_labels_the_way_out_is_named(project):
    settings({"early_stop": 5})
    table = Path("data/index/splits.csv")
    table.write_text(table.read_text().replace("c,val\n", ""))
    with pytest.raises(PipelineError, match=r"no labelled frame in val.*early_stop: 0"):
        stage.run()
    settings({"early_stop": 0})
    assert "epoch 2" in stage.run()
    assert not Path("reports/backbone/predictions.csv").exists()
    Path("data/index/labels.csv").write_text("video,start_s,end_s,phase\n")
    with pytest.raises(PipelineError, match=r"labels\.csv: no frame of the training videos"):
        stage.run()


def test_a_validation_loss_that_is_not_finite_stops_with_the_way_out(project, monkeypatch):
    def not_finite(fabric, network, frames, batch, workers):
        return torch.full((len(frames), 3), float("nan")), torch.zeros(len(frames), 0)

    monkeypatch.setattr(finetune, "predict", not_finite)
    with pytest.raises(PipelineError, match=r"validation loss of epoch 1 is nan.*32-true"):
        stage.run()


def test_steps_hold_every_frame_once_and_no_remainder_is_tiny():
    plan = steps_of(67, params_of(batch=16, accumulate=2), 5)
    rows = np.concatenate([part for step in plan for part in step])
    assert sorted(rows) == list(range(67))
    assert [sum(len(part) for part in step) for step in plan] == [23, 22, 22]
    some = steps_of(67, params_of(frames_per_epoch=20), 5)
    assert np.array_equal(np.concatenate([p for s in some for p in s]), rows[:20])


def test_of_equal_epochs_the_first_is_kept():
    rows = [Epoch(n, 0.1, 1, 1.0, 1.0, f1, f1) for n, f1 in enumerate((0.5, 0.7, 0.7), start=1)]
    assert [finetune.is_best(rows[: n + 1]) for n in range(3)] == [True, True, False]
