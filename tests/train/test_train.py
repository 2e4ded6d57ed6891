import hashlib
import json
import os
import signal
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from warm_processes import warm_context

from pipeline.checkpoint import load_checkpoint
from pipeline.errors import PipelineError
from pipeline.feature_store import write_features
from pipeline.networks.temporal import KINDS, tecno
from pipeline.networks.temporal.params import rebuilt
from pipeline.networks.temporal.rnn import RecurrentNetwork
from pipeline.sequences import read_split
from pipeline.tables import write_table
from pipeline.train import loop, members, stage
from pipeline.training import state as training_state

D = 12
PHASES = ("A", "B", "C")
PARAMS = """\
seed: 3
model: {{kind: {kind}, hidden: 16, tecno: {{stages: 2, layers: 4, maps: 8, dropout: 0.1}}}}
train: {{epochs: {epochs}, lr: 0.01, early_stop: {early_stop}, batch: {batch}, window: {window}}}
runtime: {{device: cpu, threads: 1, progress: lines}}
"""


def settings(kind="rnn", epochs=12, early_stop=5, batch=1, window="null", more=""):
    text = PARAMS.format(
        kind=kind, epochs=epochs, early_stop=early_stop, batch=batch, window=window
    )
    Path("params.yaml").write_text(text + more)


def video(seed, length):
    """Features in which each phase has a direction of its own, under noise."""
    generator = np.random.default_rng(seed)
    labels = np.repeat(np.arange(3), [length // 3, length // 3, length - 2 * (length // 3)])
    noise = generator.normal(0, 1.0, (length, D))
    return (2 * np.eye(3, D)[labels] + noise).astype(np.float16), labels


def add_video(name, seed, length, weights="w" * 64, width=D, recipe=None):
    features, _ = video(seed, length)
    attributes = {"video": name, "fps": 1.0, "weights_hash": weights, "fingerprint": f"{seed}"}
    if recipe is not None:
        attributes["recipe"] = json.dumps(recipe)
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
    _, header = kept_network()
    assert header["best_epoch"] == history["val_macro_f1"].idxmax() + 1
    assert sorted(path.suffix for path in Path(".store/train").iterdir()) == [
        ".safetensors",
        ".sha256",
    ]


def kept_network():
    tensors, header = load_checkpoint(Path("models/temporal.safetensors"))
    network = rebuilt(header)
    network.load_state_dict(tensors)
    return network.eval(), header


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


def forget():
    for path in Path(".store/train").glob("*.safetensors"):
        path.unlink()


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
    _, header = kept_network()
    assert header["epochs"] == header["best_epoch"] + 3 or header["epochs"] == 60


def videos(*lengths):
    """Sequences in memory."""
    for seed, length in enumerate(lengths):
        add_video(f"v{seed}", seed, length)
    table = pd.DataFrame(
        [(f"v{n}", "train") for n in range(len(lengths))], columns=["video", "split"]
    )
    write_table(table, Path("data/index/splits.csv"))
    runs = [
        (f"v{n}", i * length // 3, (i + 1) * length // 3, PHASES[i])
        for n, length in enumerate(lengths)
        for i in range(3)
    ]
    frame = pd.DataFrame(runs, columns=["video", "start_s", "end_s", "phase"])
    write_table(frame, Path("data/index/labels.csv"))
    return read_split("train")


def trained(network, training, validation=(), path="state", on_epoch=lambda row: None, **values):
    params = stage.TrainParams(**({"early_stop": 0, "epochs": 2, "lr": 0.01} | values))
    state = training_state.StateFile(Path(path))
    return loop.train(
        network, training, validation, params, 1, torch.device("cpu"), state, on_epoch
    )


def recurrent(dropout=0.0):
    torch.manual_seed(0)
    return KINDS["rnn"].build(D, 3, KINDS["rnn"].Params(hidden=4, dropout=dropout))


def test_a_window_longer_than_the_video_and_a_video_of_one_frame_are_fine(project):
    result = trained(recurrent(), videos(3, 1), window=16, batch=2, epochs=1)
    assert np.isfinite(result.history[0].train_loss)


def test_a_window_without_labels_moves_no_weight_and_does_not_count(project, monkeypatch):
    """The losses of an epoch are those of the windows with labels, and the state goes through."""
    (sequence,) = videos(48)
    sequence.labels[16:32] = -1
    steps, carried = [], []
    original = torch.optim.AdamW.step

    def counted(self, *args, **kwargs):
        steps.append(1)
        return original(self, *args, **kwargs)

    class Watched(RecurrentNetwork):
        def forward(self, features, mask, state=None):
            carried.append(state is not None)
            return super().forward(features, mask, state)

    monkeypatch.setattr(torch.optim.AdamW, "step", counted)
    torch.manual_seed(0)
    network = Watched(D, 3, "lstm", 4, 1, 0.0, False)
    result = trained(network, [sequence], window=16, epochs=1, lr=1e-12)
    assert len(steps) == 2
    assert carried == [False, True, True]
    with torch.inference_mode():
        outputs = network(torch.from_numpy(sequence.features).float()[None], torch.ones(1, 48) > 0)
    weights = torch.tensor(loop.class_weights("median", sequence.labels, 3)).float()
    labels = torch.from_numpy(sequence.labels)[None]
    expected = [
        loop.SequenceLoss(weights)([outputs.logits[0][:, part]], labels[:, part]).item()
        for part in (slice(0, 16), slice(32, 48))
    ]
    assert result.history[0].train_loss == pytest.approx(np.mean(expected), abs=1e-5)


def test_moments_are_read_once_the_parameters_lie_on_their_device(project, monkeypatch):
    """float64 stands in for a device: like one, it gives parameters other memory."""

    class Moving(RecurrentNetwork):
        def to(self, *args, **kwargs):
            return super().to(torch.float64)

        def forward(self, features, mask, state=None):
            return super().forward(features.double(), mask, state)

    monkeypatch.setattr(training_state, "SAVE_EVERY_S", 0)
    training = videos(20, 12)

    def network():
        torch.manual_seed(0)
        return Moving(D, 3, "gru", 4, 1, 0.0, False)

    undisturbed = trained(network(), training, epochs=4, path="one")

    class Killed(Exception):
        pass

    def kill(row):
        if row.epoch == 2:
            raise Killed

    with pytest.raises(Killed):
        trained(network(), training, epochs=4, path="two", on_epoch=kill)
    resumed = trained(network(), training, epochs=4, path="two")
    assert resumed.history == undisturbed.history
    for name, tensor in undisturbed.weights.items():
        assert torch.equal(resumed.weights[name], tensor), name


class TwoPhases(tecno.Tecno):
    """First the predictor, then the refinement on a predictor that stays as it is."""

    training_phases = ("predictor", "refinement")

    def __init__(self):
        super().__init__(D, 3, stages=2, layers=2, maps=4, dropout=0.0)
        self.begun = []

    def begin_phase(self, name):
        self.begun.append(name)
        self.stages[0].requires_grad_(name == "predictor")
        self.stages[1].requires_grad_(name == "refinement")

    def extra_loss(self, outputs, labels, mask):
        assert labels.shape == mask.shape == outputs.logits[0].shape[:2]
        return outputs.logits[-1].square().mean()


def weights_of(network, part):
    return {k: v.clone() for k, v in network.state_dict().items() if k.startswith(f"stages.{part}")}


def same(one, two):
    return all(torch.equal(one[name], two[name]) for name in one)


def test_training_phases_follow_each_other_from_the_best_weights_of_the_one_before(project):
    torch.manual_seed(0)
    network = TwoPhases()
    before = weights_of(network, 0), weights_of(network, 1)
    after = []
    training = videos(30, 24)

    def watch(row):
        after.append((weights_of(network, 0), weights_of(network, 1)))

    result = trained(network, training, training, epochs=3, on_epoch=watch)
    assert network.begun == ["predictor", "refinement"]
    assert [row.epoch for row in result.history] == [1, 2, 3, 4, 5, 6]
    assert result.history[0].lr == result.history[3].lr == 0.01
    assert all(same(now[1], before[1]) for now in after[:3])
    assert not same(after[0][0], before[0])
    first = [row.val_macro_f1 for row in result.history[:3]]
    best = after[int(np.argmax(first))][0]
    assert all(same(now[0], best) for now in after[3:])
    assert not same(after[3][1], before[1])
    last = [row.val_macro_f1 for row in result.history[3:]]
    assert result.best_epoch == 4 + int(np.argmax(last))
    assert same(weights_of(network, 1), after[result.best_epoch - 1][1])


def test_a_training_of_two_phases_resumes_in_the_one_it_was_in(project, monkeypatch):
    monkeypatch.setattr(training_state, "SAVE_EVERY_S", 0)
    training = videos(30, 24)

    def network():
        torch.manual_seed(0)
        return TwoPhases()

    class Killed(Exception):
        pass

    whole = trained(network(), training, training, epochs=3, path="whole")
    for last in (2, 3, 5):

        def kill(row, last=last):
            if row.epoch == last:
                raise Killed

        with pytest.raises(Killed):
            trained(network(), training, training, epochs=3, path=str(last), on_epoch=kill)
        resumed = trained(network(), training, training, epochs=3, path=str(last))
        assert resumed.history == whole.history
        assert resumed.best_epoch == whole.best_epoch
        assert same(resumed.weights, whole.weights)


def test_a_loss_that_is_not_finite_stops_with_the_way_out(project):
    (sequence,) = videos(12)
    sequence.features[3] = np.nan
    with pytest.raises(PipelineError, match=r"train: the loss of epoch 1 is nan\. Lower train\.lr"):
        trained(recurrent(), [sequence])


def test_a_target_may_be_one_class_for_the_whole_video():
    from pipeline.sequences import FrameTarget, Sequence, VideoTarget

    features, times = np.zeros((3, D)), np.arange(3.0)
    video = Sequence("a", features, VideoTarget(1), times, 1.0, "w", "f")
    assert len(video) == 3 and video.labels.tolist() == [1]
    with pytest.raises(ValueError, match="not aligned: 3 features, 3 times, 2 labels"):
        Sequence("a", features, FrameTarget(np.zeros(2, np.int64)), times, 1.0, "w", "f")


@pytest.mark.parametrize("model", [{"rnn": "lstm"}, {"rnn": "gru"}, {"bidirectional": True}])
def test_mixed_precision_trains_too(project, model):
    network = KINDS["rnn"].build(D, 3, KINDS["rnn"].Params(hidden=4, **model))
    result = trained(network, videos(30, 24), precision="bf16-mixed", epochs=8)
    assert result.history[-1].train_loss < result.history[0].train_loss
    assert {tensor.dtype for tensor in result.weights.values()} == {torch.float32}
