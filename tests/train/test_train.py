"""The train stage: what it learns, finds again and resumes."""

import os
import signal
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from train_project import (
    PHASES,
    D,
    add_video,
    forget,
    kept_network,
    make_project,
    outputs,
    settings,
)
from warm_processes import warm_context

from pipeline.checkpoint import load_checkpoint
from pipeline.sequences import read_split
from pipeline.train import loop, members, stage
from pipeline.training import state as training_state


@pytest.fixture
def project(workplace):
    make_project()
    return workplace


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
    _, header = kept_network()
    assert header["best_epoch"] == history["val_macro_f1"].idxmax() + 1
    assert sorted(path.suffix for path in Path(".store/train").iterdir()) == [
        ".safetensors",
        ".sha256",
    ]


def test_the_header_holds_all_that_leads_from_a_video_to_its_phases(project):
    recipe = {"frames": {"fps": 1.0}, "features": {"precision": "fp32"}, "backbone": {"name": "x"}}
    for name in "abcd":
        add_video(name, "abcd".index(name), 30 + 6 * "abcd".index(name), recipe=recipe)
    settings("tecno", epochs=2)
    stage.run()
    _, header = kept_network()
    assert {key: header[key] for key in recipe} == recipe
    assert header["kind"] == "tecno"
    assert header["model"] == {"stages": 2, "layers": 4, "maps": 8, "dropout": 0.1}
    assert header["train"]["lr"] == 0.01
    assert header["classes"] == list(PHASES) == header["classes_seen"]
    assert (header["dim"], header["causal"], header["receptive_field"]) == (D, True, 61)
    assert (header["fps"], header["seed"], header["weights_hash"]) == (1.0, 3, "w" * 64)
    assert header["seen"]["videos"] == 3  # how far a video lies from these: pipeline/seen.py


def no_training(monkeypatch):
    monkeypatch.setattr(members, "train", lambda *_: pytest.fail("trained again"))


def test_a_finished_training_is_found_and_its_outputs_have_the_same_bytes(project, monkeypatch):
    stage.run()
    first = outputs()
    assert "reports/train/history.csv" in first
    assert any(name.endswith(".tsv") for name in first)
    for path in first:
        Path(path).unlink()
    with monkeypatch.context() as patch:
        no_training(patch)
        assert stage.run().endswith(", from the store")
    assert outputs() == first
    forget()
    stage.run()
    assert outputs() == first


def test_what_belongs_to_another_kind_or_only_names_things_trains_nothing(project, monkeypatch):
    settings("tecno", epochs=2)
    stage.run()
    no_training(monkeypatch)
    text = Path("params.yaml").read_text()
    Path("params.yaml").write_text(text.replace("hidden: 16", "hidden: 17"))
    stage.run()
    for path in ("data/index/splits.csv", "data/index/labels.csv"):
        renamed = Path(path).read_text().replace("\na,", "\nrenamed,")
        Path(path).write_text(renamed)
    Path("features/videos/a.h5").rename("features/videos/renamed.h5")
    stage.run()
    table = Path("data/index/phases.csv")
    table.write_text(table.read_text().replace("B", "Z"))
    labels = Path("data/index/labels.csv")
    labels.write_text(labels.read_text().replace(",B", ",Z"))
    stage.run()
    assert kept_network()[1]["classes"] == ["A", "Z", "C"]


CHANGES = [
    ("params.yaml", "seed: 3", "seed: 4"),
    ("params.yaml", "lr: 0.01", "lr: 0.02"),
    ("params.yaml", "hidden: 16", "hidden: 17"),
    ("data/index/labels.csv", "a,0,10,A", "a,0,9,A"),
    ("data/index/splits.csv", "c,train", "c,val"),
]


def test_what_decides_the_weights_trains_again(project):
    settings(epochs=1)
    stage.run()
    for trained_before, (name, old, new) in enumerate(CHANGES, start=1):
        path = Path(name)
        text = path.read_text()
        path.write_text(text.replace(old, new))
        assert "from the store" not in stage.run(), new
        assert len(list(Path(".store/train").glob("*.safetensors"))) == trained_before + 1, new
        path.write_text(text)
    assert stage.run().endswith(", from the store")
    add_video("a", 9, 30)
    assert "from the store" not in stage.run()


def trained_by_a_worker(number, line):
    os.environ["DVC_ROOT"] = str(Path.cwd())
    line.put(stage.run(Path(f"{number}/temporal.safetensors"), Path(f"{number}/train")))


def test_of_two_workers_one_trains_and_the_other_waits_and_finds_it(project):
    settings(epochs=6, early_stop=0)
    context = warm_context()
    lines = context.Queue()
    workers = [context.Process(target=trained_by_a_worker, args=(n, lines)) for n in (1, 2)]
    for worker in workers:
        worker.start()
    found = sorted(lines.get(timeout=120).endswith("from the store") for _ in workers)
    for worker in workers:
        worker.join()
    assert found == [False, True]
    one, two = (Path(f"{n}/temporal.safetensors").read_bytes() for n in (1, 2))
    assert one == two


def test_test_videos_are_never_read(project):
    Path("features/videos/e.h5").unlink()
    stage.run()


def test_the_kept_weights_are_a_copy_of_the_best_epoch(project):
    """They score what the best epoch scored, however much was trained afterwards."""
    settings(epochs=15, early_stop=0)
    stage.run()
    history = pd.read_csv("reports/train/history.csv")
    network, header = kept_network()
    (sequence,) = read_split("val")
    features = torch.from_numpy(sequence.features).float()[None]
    with torch.inference_mode():
        outputs = network(features, torch.ones(features.shape[:2], dtype=torch.bool))
    accuracy = float(np.mean(outputs.logits[-1][0].argmax(1).numpy() == sequence.labels))
    best = history.loc[history["epoch"] == header["best_epoch"], "val_accuracy"].item()
    assert accuracy == pytest.approx(best, abs=1e-6)


def killed_after_five_epochs():
    """A process of its own that saves each epoch: killed soon after five, wherever it then is."""
    training_state.SAVE_EVERY_S = 0
    original, begun = loop.train_epoch, []

    def counted(*arguments):
        begun.append(1)
        if len(begun) == 6:
            threading.Timer(0.01, os.kill, (os.getpid(), signal.SIGKILL)).start()
        return original(*arguments)

    loop.train_epoch = counted
    os.environ["DVC_ROOT"] = str(Path.cwd())
    stage.run()


def test_a_killed_training_resumes_and_gives_the_bytes_of_an_undisturbed_one(project, monkeypatch):
    """With dropout; a recurrent network resumes in the tests of moments below."""
    settings("tecno", epochs=30, early_stop=0)
    process = warm_context().Process(target=killed_after_five_epochs)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    (state,) = Path(".store/train").glob("[!.]*.state")
    finished = len(load_checkpoint(state)[1]["history"])
    assert 5 <= finished < 30
    seen = []
    original = loop.train_epoch
    monkeypatch.setattr(loop, "train_epoch", lambda *a: seen.append(1) or original(*a))
    stage.run()
    assert len(seen) == 30 - finished
    assert not state.exists()
    resumed = outputs()
    forget()
    stage.run()
    assert outputs() == resumed


def test_a_key_at_its_default_changes_neither_the_result_nor_its_name(project, monkeypatch):
    settings(epochs=2)
    stage.run()
    first = outputs()
    no_training(monkeypatch)
    text = Path("params.yaml").read_text()
    defaults = "ema: null, warmup: 0, decay: all, accumulate: 1, augment: {noise: 0.0}, phases: {}"
    Path("params.yaml").write_text(text.replace("lr: 0.01", f"lr: 0.01, {defaults}"))
    stage.run()
    assert outputs() == first


def test_early_stop_ends_after_that_many_epochs_without_a_better_one(project):
    settings(epochs=60, early_stop=3)
    stage.run()
    _, header = kept_network()
    assert header["epochs"] == header["best_epoch"] + 3 or header["epochs"] == 60
