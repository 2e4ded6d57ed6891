"""The temporal network goes on from the RNN that was trained with the backbone."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from pipeline.all_params import check_params
from pipeline.checkpoint import save_checkpoint
from pipeline.errors import PipelineError
from pipeline.feature_store import write_features
from pipeline.networks.temporal.rnn import RecurrentNetwork
from pipeline.tables import write_table
from pipeline.train import members, stage
from pipeline.train.params import TrainParams

D = 6
RNN = Path("reports/backbone/recurrent.safetensors")


def settings(train, **model):
    params = {
        "seed": 3,
        "model": {"rnn": "gru", "hidden": 8, "layers": 1} | model,
        "train": {"epochs": 1, "early_stop": 0} | train,
        "runtime": {"device": "cpu", "threads": 1, "progress": "none"},
    }
    Path("params.yaml").write_text(yaml.safe_dump(params))


@pytest.fixture
def recurrent(workplace):
    """Features of three videos, and the weights of an RNN beside them."""
    labels = []
    for seed, name in enumerate("abc"):
        features = np.random.default_rng(seed).normal(size=(12, D)).astype(np.float16)
        attributes = {"video": name, "fps": 1.0, "weights_hash": "w", "fingerprint": name}
        write_features(Path(f"features/videos/{name}.h5"), features, np.arange(12.0), attributes)
        labels += [(name, 0, 6, "A"), (name, 6, 12, "B")]
    splits = pd.DataFrame({"video": list("abc"), "split": ["train", "train", "val"]})
    write_table(splits, Path("data/index/splits.csv"))
    frame = pd.DataFrame(labels, columns=["video", "start_s", "end_s", "phase"])
    write_table(frame, Path("data/index/labels.csv"))
    write_table(pd.DataFrame({"phase": ["A", "B"]}), Path("data/index/phases.csv"))
    Path("features/videos/skipped.csv").write_text("video,reason\n")
    settings({"end_to_end": True})
    return leave_rnn()


def leave_rnn(seed=5, **changes):
    torch.manual_seed(seed)
    weights = RecurrentNetwork(D, 2, "gru", 8, 1, 0.3, bidirectional=False).state_dict()
    header = {"rnn": "gru", "hidden": 8, "layers": 1, "num_classes": 2, "weights_hash": "w"}
    save_checkpoint(RNN, weights, header | changes)
    return weights


def begun_with(monkeypatch):
    """The weights with which the training begins."""
    found = {}

    def remember(network, *_):
        found.update({name: t.clone() for name, t in network.state_dict().items()})
        raise KeyboardInterrupt

    monkeypatch.setattr(members, "train", remember)
    with pytest.raises(KeyboardInterrupt):
        stage.run()
    return found


def test_training_begins_with_the_weights_of_the_rnn_and_its_scale(recurrent, monkeypatch):
    found = begun_with(monkeypatch)
    assert all(torch.equal(found[name], tensor) for name, tensor in recurrent.items())
    assert not found["standardise.mean"].any()


def test_other_weights_to_begin_with_are_another_training(recurrent):
    assert "store" not in stage.run()
    assert "store" in stage.run()
    leave_rnn(seed=6)
    assert "store" not in stage.run()
    leave_rnn()
    assert "store" in stage.run()


def test_where_it_is_off_the_rnn_is_not_read(recurrent, monkeypatch):
    assert "end_to_end" not in TrainParams().deciding()
    RNN.write_text("damaged")
    settings({})
    assert begun_with(monkeypatch)["standardise.mean"].any()


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"kind": "tecno"}, r"model\.kind: found tecno.*which has rnn"),
        ({"hidden": 9}, r"model\.hidden: found 9.*Set model\.hidden: 8"),
        ({"layers": 2}, r"model\.layers: found 2.*Set model\.layers: 1"),
        ({"rnn": "lstm"}, r"model\.rnn: found lstm.*which has gru"),
        ({"bidirectional": True}, r"Set model\.bidirectional: false"),
        ({"attention": True}, r"Set model\.attention: false"),
    ],
)
def test_another_network_than_the_rnn_is_refused(recurrent, model, message):
    settings({"end_to_end": True}, **model)
    with pytest.raises(PipelineError, match=message):
        stage.run()


def test_a_backbone_without_context_and_features_of_another_are_refused(recurrent):
    leave_rnn(weights_hash="v")
    with pytest.raises(PipelineError, match="another backbone or for other classes"):
        stage.run()
    RNN.unlink()
    with pytest.raises(PipelineError, match=r"Set backbone\.mode: finetune"):
        stage.run()


def test_an_rnn_goes_on_at_the_rate_it_was_trained_at_only(workplace):
    params = yaml.safe_load((Path(__file__).parents[2] / "params.yaml").read_text())
    params["backbone"]["mode"], params["train"]["end_to_end"] = "finetune", True
    for fps, stride, allowed in ((2, 1, False), (2, 0.5, True), ("1/5", 5, True), (2, None, True)):
        params["frames"]["fps"] = fps
        params["backbone"]["finetune"]["context"] = {"frames": 4, "stride_s": stride}
        Path("params.yaml").write_text(yaml.safe_dump(params))
        if allowed:
            check_params()
            continue
        message = r"stride_s is 1 and frames\.fps is 2, .* are 0\.5 s apart\. Set stride_s: null"
        with pytest.raises(PipelineError, match=message):
            check_params()
