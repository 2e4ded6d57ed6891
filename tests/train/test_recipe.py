"""Every key of `train` changes what it says, and a resumed training repeats an undisturbed one."""

import copy

import numpy as np
import pytest
import torch

from pipeline.errors import PipelineError
from pipeline.networks.temporal import KINDS
from pipeline.networks.temporal.contract import Outputs, TemporalModule
from pipeline.sequences import FrameTarget, Sequence
from pipeline.settings import check_section
from pipeline.train import loop
from pipeline.train.epoch import train_epoch
from pipeline.train.params import TrainParams
from pipeline.training import state as training_state
from pipeline.training.sequence_loss import SequenceLoss
from pipeline.training.state import StateFile

D, CPU = 6, torch.device("cpu")


def video(seed, length=24, labelled=True):
    """Features in which each of three phases has a direction of its own, under noise."""
    labels = np.sort(np.arange(length) % 3)
    noise = np.random.default_rng(seed).normal(0, 1.0, (length, D))
    features = (2 * np.eye(3, D)[labels] + noise).astype(np.float32)
    target = FrameTarget(labels if labelled else np.full(length, -1))
    return Sequence(str(seed), features, target, np.arange(float(length)), 1.0, "w", "f")


def network(kind="rnn", **values):
    torch.manual_seed(0)
    small = {
        "rnn": {"hidden": 4, "dropout": 0.0},
        "tecno": {"layers": 2, "maps": 4, "dropout": 0.0},
    }
    params = KINDS[kind].Params(**(small.get(kind, {}) | values))
    return KINDS[kind].build(D, 3, params)


def trained(folder, net, training, validation=(), on_epoch=lambda row: None, **values):
    params = TrainParams(**({"early_stop": 0, "epochs": 3, "lr": 0.01} | values))
    return loop.train(net, training, validation, params, 1, CPU, StateFile(folder), on_epoch)


def same(one, two):
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


VARIED = {"crop": 0.6, "speed": 0.2, "shift": 2, "noise": 0.2, "feature_dropout": 0.1}


@pytest.mark.parametrize(
    "values",
    [
        {"loss": "focal"},
        {"label_smoothing": 0.1},
        {"optimizer": "adam", "weight_decay": 0.1},
        {"optimizer": "sgd"},
        {"scheduler": "cosine"},
        {"scheduler": "one_cycle", "epochs": 4},
        {"warmup": 1},
        {"decay": "matrices", "weight_decay": 0.1},
        {"ema": 0.9},
        {"accumulate": 2},
        {"augment": VARIED},
        {"phases": {"all": {"lr": 0.02}}},
    ],
    ids=str,
)
def test_each_key_trains_other_weights_and_the_same_again(tmp_path, values):
    training = [video(n, 20 + n) for n in range(4)]
    epochs = {"epochs": values.get("epochs", 3)}
    plain = trained(tmp_path / "a", network(), training, **epochs)
    first = trained(tmp_path / "b", network(), training, **values)
    second = trained(tmp_path / "c", network(), training, **values)
    assert not same(plain.weights, first.weights)
    assert same(first.weights, second.weights)
    assert first.history == second.history


class Killed(Exception):
    pass


@pytest.mark.parametrize(
    "values",
    [
        {"ema": 0.9},
        {"augment": VARIED, "batch": 2, "buckets": True},
        {"optimizer": "sgd", "decay": "matrices", "accumulate": 3},
        {"scheduler": "plateau", "plateau_patience": 1, "warmup": 2, "monitor": "loss"},
        {"scheduler": "one_cycle", "ema": 0.5, "augment": VARIED, "window": 8, "accumulate": 2},
    ],
    ids=str,
)
def test_a_resumed_training_gives_the_weights_of_an_undisturbed_one(tmp_path, monkeypatch, values):
    monkeypatch.setattr(training_state, "SAVE_EVERY_S", 0)
    training, validation = [video(n, 20 + n) for n in range(5)], [video(9)]
    values = {"epochs": 6, **values}

    def kill(row):
        if row.epoch == 3:
            raise Killed

    whole = trained(tmp_path / "whole", network(dropout=0.2), training, validation, **values)
    with pytest.raises(Killed):
        trained(tmp_path / "x", network(dropout=0.2), training, validation, kill, **values)
    resumed = trained(tmp_path / "x", network(dropout=0.2), training, validation, **values)
    assert resumed.history == whole.history
    assert same(resumed.weights, whole.weights)


def test_the_kept_weights_are_the_average_of_all_steps(tmp_path):
    training = [video(n) for n in range(2)]
    net, seen = network(), []
    initial = copy.deepcopy(net.state_dict())

    def watch(row):
        seen.append(copy.deepcopy(net.state_dict()))

    # One step for each epoch, so that the rows of the curves show every step.
    result = trained(tmp_path / "s", net, training, on_epoch=watch, batch=2, ema=0.15, epochs=4)
    for name, value in initial.items():
        mean = value.double()
        for step, after in enumerate(seen, start=1):
            kept = min(0.15, (1 + step) / (10 + step))
            mean = kept * mean + (1 - kept) * after[name].double()
        torch.testing.assert_close(result.weights[name].double(), mean, rtol=1e-5, atol=1e-6)


def test_the_average_is_what_is_validated(tmp_path):
    training, validation = [video(n) for n in range(3)], video(9)
    result = trained(tmp_path / "s", network(), training, [validation], ema=0.5)
    kept = network()
    kept.load_state_dict(result.weights)
    with torch.inference_mode():
        logits = kept.eval()(torch.from_numpy(validation.features)[None], torch.ones(1, 24) > 0)
    loss = SequenceLoss(torch.ones(3))(logits.logits, torch.from_numpy(validation.labels)[None])
    best = result.history[result.best_epoch - 1]
    assert float(loss) == pytest.approx(best.val_loss, abs=2e-6)


def gradients(net, batches, **values):
    """What one step gets, without moving anything."""
    params = TrainParams(**({"clip_norm": 1e9, "class_weights": "none"} | values))
    kept = {}

    class Reads(torch.optim.SGD):
        def step(self, closure=None):
            kept.update({n: p.grad.clone() for n, p in net.named_parameters()})

    optimizer = Reads(net.parameters(), lr=1.0)
    train_epoch(net, optimizer, iter(batches), SequenceLoss(torch.ones(3)), params)
    return kept


@pytest.mark.parametrize("kind", ["rnn", "tecno"])
def test_two_batches_accumulated_are_one_batch_of_two_where_lengths_are_equal(kind):
    one, two = video(1), video(2)
    net = network(kind)
    together = gradients(net, [[one, two]])
    accumulated = gradients(net, [[one], [two]], accumulate=2)
    for name, value in together.items():
        torch.testing.assert_close(accumulated[name], value, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", ["rnn", "tecno"])
def test_padding_changes_no_gradient(kind):
    """A batch's gradient is the mean over its frames, whatever the lengths of the videos are."""
    short, long = video(1, 15), video(2, 30)
    net = network(kind)
    alone = gradients(net, [[short]]), gradients(net, [[long]])
    for name, value in gradients(net, [[short, long]]).items():
        expected = (15 * alone[0][name] + 30 * alone[1][name]) / 45
        torch.testing.assert_close(value, expected, rtol=1e-4, atol=1e-6)


def test_what_is_left_at_an_epochs_end_makes_a_step_of_its_own(monkeypatch):
    steps = []

    class Counts(torch.optim.SGD):
        def step(self, closure=None):
            steps.append(float(sum(p.grad.square().sum() for p in net.parameters())))

    net = network()
    params = TrainParams(accumulate=3, clip_norm=1e9)
    loss_of = SequenceLoss(torch.ones(3))
    same_video = [[video(1)] for _ in range(5)]
    train_epoch(net, Counts(net.parameters(), lr=0.1), iter(same_video), loss_of, params)
    assert len(steps) == 2
    assert steps[0] == pytest.approx(steps[1], rel=1e-4)  # both are means over their passes


class Scripted(TemporalModule):
    """Says the validation video's phases better or worse by epoch, whatever it learns."""

    causal, receptive_field = True, 1

    def __init__(self, script):
        super().__init__(D, 3)
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.script, self.epoch = script, -1

    def train(self, mode=True):
        self.epoch += int(mode)
        return super().train(mode)

    def forward(self, features, mask, state=None):
        right, confidence = self.script[max(self.epoch, 0)]
        labels = torch.sort(torch.arange(features.shape[1]) % 3).values
        wrong = torch.arange(len(labels)) >= round(right * len(labels))
        said = torch.where(wrong, (labels + 1) % 3, labels)
        logits = confidence * torch.nn.functional.one_hot(said, 3).float() + self.weight
        return Outputs([logits.expand(len(features), -1, -1)], None)


@pytest.mark.parametrize(("monitor", "best"), [("macro_f1", 3), ("accuracy", 3), ("loss", 2)])
def test_the_monitored_value_chooses_the_epoch(tmp_path, monitor, best):
    script = [(0.4, 1.0), (0.6, 0.5), (0.7, 9.0), (0.5, 9.0), (0.3, 9.0)]
    net = Scripted(script)
    result = trained(tmp_path / "s", net, [video(1)], [video(2)], epochs=5, monitor=monitor)
    assert result.best_epoch == best


def test_training_ends_by_the_monitored_value(tmp_path):
    script = [(0.4, 1.0), (0.6, 0.5), (0.7, 9.0), (0.8, 9.0), (0.9, 9.0)]
    values = {"epochs": 5, "early_stop": 2}
    by_loss = trained(
        tmp_path / "a", Scripted(script), [video(1)], [video(2)], monitor="loss", **values
    )
    by_f1 = trained(tmp_path / "b", Scripted(script), [video(1)], [video(2)], **values)
    assert (len(by_loss.history), by_loss.best_epoch) == (4, 2)
    assert (len(by_f1.history), by_f1.best_epoch) == (5, 5)


def test_a_phase_may_have_epochs_and_a_rate_of_its_own(tmp_path):
    small = {"stages": 1, "layers": 2, "maps": 8, "dropout": 0.0, "window": 4}
    net = network("transsvnet", **small)
    result = trained(
        tmp_path / "s",
        net,
        [video(1)],
        epochs=3,
        scheduler="constant",
        phases={"transformer": {"lr": 0.5, "epochs": 2}},
    )
    assert [row.lr for row in result.history] == [0.01, 0.01, 0.01, 0.5, 0.5]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"warmup": 5, "epochs": 5}, "warmup is 5, but there are 5 epochs"),
        ({"warmup": 3, "phases": {"a": {"epochs": 3}}}, "warmup is 3, but there are 3 epochs"),
        ({"warmup": 2, "scheduler": "one_cycle"}, "one_cycle warms up by itself"),
        ({"epochs": 3, "scheduler": "one_cycle"}, "one_cycle needs 4 epochs"),
        ({"ema": 1.0}, r"train\.ema: found 1\.0"),
        ({"augment": {"crop": 0}}, r"train\.augment\.crop: found 0"),
        ({"augment": {"sped": 0.1}}, r"train\.augment\.sped: unknown key\. Did you mean `speed`"),
        ({"phases": {"tcn": {"rate": 1}}}, r"train\.phases\.tcn\.rate: unknown key\.$"),
        ({"optimizer": "lion"}, r"'adamw', 'adam' or 'sgd'"),
    ],
)
def test_what_cannot_be_is_refused_by_name(values, message):
    with pytest.raises(PipelineError, match=message):
        check_section(TrainParams, "train", values)


FIRST = {
    "epochs": 100,
    "lr": 1e-4,
    "weight_decay": 1e-5,
    "optimizer": "adamw",
    "scheduler": "cosine_restarts",
    "loss": "cross_entropy",
    "class_weights": "median",
    "clip_norm": 1.0,
    "early_stop": 10,
    "window": None,
    "batch": 1,
    "precision": "32-true",
}


def test_keys_at_their_defaults_and_keys_that_are_not_read_name_no_result():
    """FIRST is what the fingerprints of the first trainings hold: it must be found for ever."""
    assert TrainParams().deciding() == FIRST
    unread = TrainParams(focal_gamma=1.0, plateau_factor=0.1, plateau_patience=9, buckets=True)
    assert unread.deciding() == FIRST
    assert TrainParams(loss="focal", focal_gamma=1.0, label_smoothing=0.1).deciding() == {
        **FIRST,
        "loss": "focal",
        "focal_gamma": 1.0,
    }
    changed = TrainParams(ema=0.9, batch=2, buckets=True, augment={"noise": 0.1}).deciding()
    assert changed == {
        **FIRST,
        "ema": 0.9,
        "batch": 2,
        "buckets": True,
        "augment": {"noise": 0.1},
    }
