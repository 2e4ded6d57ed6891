"""The loop by itself: windows, moments, phases of training, precision."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from train_project import PHASES, D, add_video, make_project

from pipeline.errors import PipelineError
from pipeline.networks.temporal import KINDS, tecno
from pipeline.networks.temporal.rnn import RecurrentNetwork
from pipeline.sequences import read_split
from pipeline.tables import write_table
from pipeline.train import loop, stage
from pipeline.training import state as training_state


@pytest.fixture
def project(workplace):
    make_project()
    return workplace


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
