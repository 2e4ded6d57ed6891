"""One contract for every temporal network."""

import pytest
import torch

from pipeline.networks.temporal import build_temporal
from pipeline.networks.temporal.standardise import Standardise
from pipeline.networks.temporal.tecno import Tecno, receptive_field

D, C = 6, 4
RNN = {"features": D, "phases": C, "hidden": 8, "layers": 2, "dropout": 0.3}
NETWORKS = {
    "lstm": ("rnn", RNN | {"cell": "lstm", "bidirectional": False}),
    "gru": ("rnn", RNN | {"cell": "gru", "bidirectional": False}),
    "bilstm": ("rnn", RNN | {"cell": "lstm", "bidirectional": True}),
    "tecno": (
        "tecno",
        {"features": D, "phases": C, "stages": 2, "layers": 4, "maps": 5, "dropout": 0.5},
    ),
}


@pytest.fixture(params=NETWORKS)
def network(request):
    torch.manual_seed(0)
    kind, numbers = NETWORKS[request.param]
    return build_temporal(kind, numbers).eval()


def whole(features):
    return torch.ones(features.shape[:2], dtype=torch.bool)


@torch.inference_mode()
def predict(network, features, mask=None, state=None):
    logits, _ = network(features, whole(features) if mask is None else mask, state)
    return logits[-1]


def test_logits_have_a_row_per_frame_and_a_column_per_phase(network):
    assert predict(network, torch.randn(3, 11, D)).shape == (3, 11, C)


def test_a_causal_network_does_not_look_ahead_and_another_says_that_it_does(network):
    features = torch.randn(1, 40, D)
    full = predict(network, features)
    for length in (1, 7, 39):
        prefix = predict(network, features[:, :length])
        same = torch.allclose(prefix, full[:, :length], atol=1e-6)
        assert same == network.causal


def test_padding_and_the_company_of_a_batch_change_nothing(network):
    one, two = torch.randn(1, 9, D), torch.randn(1, 23, D)
    batch = torch.zeros(2, 23, D)
    batch[0, :9], batch[1] = one[0], two[0]
    mask = torch.zeros(2, 23, dtype=torch.bool)
    mask[0, :9], mask[1] = True, True
    together = predict(network, batch, mask)
    torch.testing.assert_close(together[:1, :9], predict(network, one), atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(together[1:], predict(network, two), atol=1e-6, rtol=1e-5)
    batch[0, 9:] = 1000.0
    torch.testing.assert_close(predict(network, batch, mask)[:1, :9], together[:1, :9])


@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_windows_with_carried_state_are_the_whole_video(name):
    torch.manual_seed(0)
    network = build_temporal(*NETWORKS[name]).eval()
    features = torch.randn(1, 50, D)
    state, parts = None, []
    with torch.inference_mode():
        for start in range(0, 50, 16):
            window = features[:, start : start + 16]
            logits, state = network(window, whole(window), state)
            parts.append(logits[-1])
    torch.testing.assert_close(torch.cat(parts, dim=1), predict(network, features))


def test_the_receptive_field_of_tecno_is_the_formulas():
    torch.manual_seed(0)
    network = Tecno(D, C, stages=2, layers=3, maps=8, dropout=0.0).double().eval()
    length = 60
    features = torch.randn(1, length, D, dtype=torch.float64, requires_grad=True)
    logits, _ = network(features, whole(features))
    logits[-1][0, -1].sum().backward()
    reached = features.grad[0].abs().sum(dim=1).nonzero().flatten()
    assert length - int(reached.min()) == receptive_field(2, 3) == 29


def test_every_stage_of_tecno_has_its_logits():
    network = Tecno(D, C, stages=3, layers=2, maps=4, dropout=0.5)
    logits, _ = network(torch.randn(1, 5, D), torch.ones(1, 5, dtype=torch.bool))
    assert [stage.shape for stage in logits] == [(1, 5, C)] * 3


def test_a_feature_that_never_changes_is_not_blown_up():
    layer = Standardise(2)
    layer.fit(torch.tensor([5.0, 1.0]), torch.tensor([0.0, 2.0]))
    torch.testing.assert_close(layer(torch.tensor([[5.0, 5.0]])), torch.tensor([[0.0, 2.0]]))


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="unknown kind of temporal network: 'mamba'"):
        build_temporal("mamba", {})
