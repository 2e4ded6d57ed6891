import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import lightning_fabric
import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional

from pipeline.checkpoint import load_checkpoint
from pipeline.errors import PipelineError
from pipeline.feature_store import write_features
from pipeline.networks.temporal import build_temporal
from pipeline.sequences import Sequence, read_split
from pipeline.tables import write_table
from pipeline.train import stage
from pipeline.train.loop import Epoch, is_best, learning_rate, train
from pipeline.train.params import ModelParams, TrainParams
from pipeline.training.class_weights import class_weights
from pipeline.training.sequence_loss import sequence_loss

D = 12
PHASES = ("A", "B", "C")
PARAMS = """\
seed: 3
model: {{kind: {kind}, hidden: 16, tecno: {{stages: 2, layers: 4, maps: 8, dropout: 0.1}}}}
train: {{epochs: {epochs}, lr: 0.01, early_stop: {early_stop}, batch: {batch}, window: {window}}}
runtime: {{device: cpu, threads: 1, progress: lines}}
"""


def settings(kind="rnn", epochs=12, early_stop=5, batch=1, window="null"):
    text = PARAMS.format(
        kind=kind, epochs=epochs, early_stop=early_stop, batch=batch, window=window
    )
    Path("params.yaml").write_text(text)


def video(seed, length):
    """Features in which each phase has a direction of its own, under noise."""
    generator = np.random.default_rng(seed)
    labels = np.repeat(np.arange(3), [length // 3, length // 3, length - 2 * (length // 3)])
    noise = generator.normal(0, 1.0, (length, D))
    return (2 * np.eye(3, D)[labels] + noise).astype(np.float16), labels


def add_video(name, seed, length, weights="w" * 64, width=D):
    features, _ = video(seed, length)
    attributes = {"video": name, "fps": 1.0, "weights_hash": weights, "fingerprint": f"{seed}"}
    write_features(
        Path(f"features/videos/{name}.h5"),
        features[:, :width],
        np.arange(float(length)),
        attributes,
    )


@pytest.fixture
def project(workplace):
    settings()
    splits = {"a": "train", "b": "train", "c": "train", "d": "val", "e": "test"}
    labels = []
    for seed, name in enumerate(splits):
        length = 30 + 6 * seed
        add_video(name, seed, length)
        edges = [0, length // 3, 2 * (length // 3), length]
        labels += [(name, edges[i], edges[i + 1], PHASES[i]) for i in range(3)]
    write_table(
        pd.DataFrame(splits.items(), columns=["video", "split"]), Path("data/index/splits.csv")
    )
    frame = pd.DataFrame(labels, columns=["video", "start_s", "end_s", "phase"])
    write_table(frame, Path("data/index/labels.csv"))
    write_table(pd.DataFrame({"phase": PHASES}), Path("data/index/phases.csv"))
    Path("features/videos/skipped.csv").write_text("video,reason\n")
    return workplace


def outputs():
    files = [Path("models/temporal.safetensors"), *Path("reports/train").rglob("*")]
    return {
        str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(files) if p.is_file()
    }


@pytest.mark.parametrize(
    ("kind", "batch", "window"),
    [
        ("rnn", 1, "null"),
        ("rnn", 2, "8"),
        ("tecno", 1, "null"),
        ("tecno", 3, "null"),
    ],
)
def test_training_learns_and_its_header_rebuilds_the_network(project, kind, batch, window):
    settings(kind, batch=batch, window=window, epochs=25, early_stop=20)
    stage.run()
    history = pd.read_csv("reports/train/history.csv")
    assert history["val_macro_f1"].max() > 0.85
    tensors, header = load_checkpoint(Path("models/temporal.safetensors"))
    network = build_temporal(header["kind"], header["numbers"])
    network.load_state_dict(tensors)
    assert header["phases"] == list(PHASES)
    assert header["best_epoch"] == history["val_macro_f1"].idxmax() + 1
    assert not list(Path(".store/train").iterdir())


def test_the_same_training_gives_the_same_bytes(project):
    stage.run()
    first = outputs()
    stage.run()
    assert outputs() == first
    assert "reports/train/history.csv" in first


def test_test_videos_are_never_read(project):
    Path("features/videos/e.h5").unlink()
    stage.run()


def test_the_kept_weights_are_a_copy_of_the_best_epoch(project):
    """They score what the best epoch scored, however much was trained afterwards."""
    settings(epochs=15, early_stop=0)
    stage.run()
    history = pd.read_csv("reports/train/history.csv")
    tensors, header = load_checkpoint(Path("models/temporal.safetensors"))
    network = build_temporal(header["kind"], header["numbers"])
    network.load_state_dict(tensors)
    network.eval()
    (sequence,) = read_split("val")
    features = torch.from_numpy(sequence.features).float()[None]
    with torch.inference_mode():
        logits, _ = network(features, torch.ones(features.shape[:2], dtype=torch.bool))
    accuracy = float(np.mean(logits[-1][0].argmax(1).numpy() == sequence.labels))
    best = history.loc[history["epoch"] == header["best_epoch"], "val_accuracy"].item()
    assert accuracy == pytest.approx(best, abs=1e-6)


@pytest.mark.parametrize("kind", ["rnn", "tecno"])
def test_a_killed_training_resumes_and_gives_the_bytes_of_an_undisturbed_one(project, kind):
    settings(kind, epochs=30, early_stop=0, window="null")
    environment = os.environ | {"PYTHONPATH": str(Path(stage.__file__).parents[2])}
    process = subprocess.Popen(
        [sys.executable, "-c", "from pipeline.train.stage import run; run()"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("train 5/"):
            break
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stderr.close()
    (state,) = Path(".store/train").glob("[!.]*.safetensors")
    finished = len(load_checkpoint(state)[1]["history"])
    assert 5 <= finished < 30
    stage.run()
    resumed = outputs()
    stage.run()
    assert outputs() == resumed


def test_without_validation_the_way_out_is_named_and_taken(project):
    table = Path("data/index/splits.csv")
    table.write_text(table.read_text().replace("d,val\n", ""))
    with pytest.raises(PipelineError, match=r"no readable video in val.*train\.early_stop: 0"):
        stage.run()
    settings(early_stop=0, epochs=4)
    assert "epoch 4/4, no validation" in stage.run()


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


def test_early_stop_ends_after_that_many_epochs_without_a_better_one(project):
    settings(epochs=60, early_stop=3)
    stage.run()
    _, header = load_checkpoint(Path("models/temporal.safetensors"))
    assert header["epochs"] == header["best_epoch"] + 3 or header["epochs"] == 60


def test_class_weights_are_those_of_their_formulas():
    labels = np.repeat([0, 1, 2, -1], [10, 20, 50, 7])
    np.testing.assert_allclose(class_weights("none", labels, 4), [1, 1, 1, 0])
    np.testing.assert_allclose(class_weights("inverse", labels, 4), [80 / 30, 80 / 60, 80 / 150, 0])
    np.testing.assert_allclose(class_weights("median", labels, 4), [2, 1, 0.4, 0])
    effective = np.array([(1 - 0.9999) / (1 - 0.9999**n) for n in (10, 20, 50)])
    np.testing.assert_allclose(
        class_weights("effective", labels, 4)[:3], effective / effective.mean()
    )


def test_the_loss_is_torchs_over_labelled_frames_and_the_mean_over_stages():
    torch.manual_seed(0)
    one, two = torch.randn(2, 9, 3), torch.randn(2, 9, 3)
    labels = torch.randint(0, 3, (2, 9))
    labels[0, 4:] = -1
    weights = torch.tensor([1.0, 2.0, 0.5])
    expected = [
        functional.cross_entropy(x.flatten(0, 1), labels.flatten(), weights, ignore_index=-1)
        for x in (one, two)
    ]
    torch.testing.assert_close(sequence_loss([one, two], labels, weights), sum(expected) / 2)
    assert sequence_loss([one], torch.full((2, 9), -1), weights) == 0


def test_the_rate_follows_torchs_cosine_with_warm_restarts():
    params = TrainParams(lr=0.1)
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 10, 2)
    for epoch in range(1, 80):
        assert learning_rate(params, epoch) == pytest.approx(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()


def test_of_equal_epochs_the_first_is_the_best():
    rows = [Epoch(n, 0.1, 1.0, 1.0, f1, f1) for n, f1 in enumerate((0.5, 0.7, 0.7), start=1)]
    assert [is_best(rows[: n + 1]) for n in range(3)] == [True, True, False]


def test_a_window_longer_than_the_video_and_a_video_of_one_frame_are_fine(tmp_path):
    features, labels = video(0, 3)
    times = np.arange(3.0)
    sequences = [
        Sequence("a", features, labels, times, 1.0, "w", "f"),
        Sequence("b", features[:1], labels[:1], times[:1], 1.0, "w", "g"),
    ]
    params = TrainParams(epochs=1, window=16, batch=2, early_stop=0)
    network = build_temporal("rnn", ModelParams(hidden=4).numbers(D, 3))
    fabric = lightning_fabric.Fabric(accelerator="cpu", devices=1)
    result = train(
        network, sequences, [], params, 1, fabric, tmp_path / "s.safetensors", lambda _: None
    )
    assert np.isfinite(result.history[0].train_loss)
