"""One contract for every temporal network: a kind is tested by being listed in KINDS."""

import pytest
import torch

from pipeline.networks.temporal import KINDS
from pipeline.networks.temporal.contract import Outputs, TemporalNetwork
from pipeline.networks.temporal.params import rebuilt

D, C = 6, 4
# Beside each kind as its defaults make it: the forms that its parameters can give it.
FORMS = {
    "rnn": [
        {"rnn": "gru"},
        {"bidirectional": True, "hidden": 8},
        {"hidden": 8, "layers": 1},
        {"hidden": 8, "attention": True, "attention_frames": 5},
        {"hidden": 8, "attention": True, "attention_frames": 1, "rnn": "gru"},
        {"hidden": 8, "attention": True, "bidirectional": True},
    ],
    "tecno": [{"layers": 3, "maps": 5}, {"stages": 1, "layers": 2, "maps": 4}],
    "mlp": [{"hidden": 5}],
    "mstcn": [{"causal": causal, "stages": 2, "layers": 3, "maps": 5} for causal in (False, True)],
    "mstcnpp": [
        {
            "causal": causal,
            "predictor_layers": 4,
            "refinements": 1,
            "refinement_layers": 2,
            "maps": 5,
        }
        for causal in (False, True)
    ],
    "asformer": [
        {"causal": causal, "decoders": 2, "layers": 3, "maps": 16} for causal in (False, True)
    ]
    + [{"causal": True, "decoders": 0, "layers": 1, "maps": 6}],
    "transsvnet": [
        {"layers": 3, "maps": 5, "window": 6},
        {"stages": 1, "layers": 1, "maps": 4, "window": 1},
    ],
    "opera": [
        {"layers": 2, "width": 8, "feed_forward": 8, "window": 7},
        {"layers": 1, "width": 8, "feed_forward": 8, "window": 1},
    ],
    "tunes": [
        {"causal": causal, "levels": levels, "layers": 1, "width": 8, "heads": 2, "window": 5}
        for causal, levels in ((False, 2), (True, 2), (True, 3))
    ],
    "conv_bilstm": [{"maps": 5, "hidden": 4, "dense": 6}],
    "row_bilstm": [{"maps": 5, "hidden": 4, "dense": 6}],
    "ssm": [{"layers": 2, "width": 6, "state": 3}],
}
NETWORKS = [(kind, form) for kind in KINDS for form in ({}, *FORMS.get(kind, []))]
# Further ones take minutes to walk through; their kinds have smaller forms.
FURTHEST = 1021


def named(case):
    return "-".join([case[0], *(f"{key}={value}" for key, value in case[1].items())])


def built(case):
    torch.manual_seed(0)
    kind, form = case
    return KINDS[kind].build(D, C, KINDS[kind].Params(**form)).eval()


DESCRIBED = [(case, built(case)) for case in NETWORKS]


def forms(wanted):
    """The networks of which this holds."""
    return [case for case, network in DESCRIBED if wanted(network)]


@pytest.fixture(params=NETWORKS, ids=named)
def network(request):
    return built(request.param)


@pytest.fixture(params=forms(lambda network: network.causal), ids=named)
def causal(request):
    return built(request.param)


def is_near(network):
    return (network.receptive_field or 0) <= FURTHEST


@pytest.fixture(params=forms(is_near), ids=named)
def near(request):
    return built(request.param)


# Those without a field have gone further by the 90 steps of every causal network, and the default
# form of TeCNO takes long: its smaller ones are here.
@pytest.fixture(
    params=forms(lambda network: network.causal and 0 < (network.receptive_field or 0) <= 200),
    ids=named,
)
def near_causal(request):
    return built(request.param)


@pytest.fixture(params=forms(lambda network: not network.causal), ids=named)
def offline(request):
    return built(request.param)


@pytest.fixture(params=forms(lambda network: network.trains_in_windows), ids=named)
def windowed(request):
    return built(request.param)


def whole(features):
    return torch.ones(features.shape[:2], dtype=torch.bool)


@torch.inference_mode()
def predict(network, features, mask=None):
    return network(features, whole(features) if mask is None else mask).logits[-1]


def test_it_says_what_it_is(network):
    assert isinstance(network, TemporalNetwork)
    assert (network.dim, network.num_classes) == (D, C)
    assert isinstance(network.causal, bool)
    assert len(network.training_phases) >= 1


def test_logits_have_a_row_per_frame_and_a_column_per_class(network):
    features = torch.randn(3, 11, D)
    outputs = network(features, whole(features))
    assert isinstance(outputs, Outputs)
    assert [logits.shape for logits in outputs.logits] == [(3, 11, C)] * len(outputs.logits)


def test_a_causal_network_does_not_look_ahead_and_another_says_that_it_does(network):
    features = torch.randn(1, 40, D)
    full = predict(network, features)
    for length in (1, 7, 39):
        prefix = predict(network, features[:, :length])
        same = torch.allclose(prefix, full[:, :length], atol=1e-6)
        assert same == network.causal


def test_steps_give_the_logits_of_the_whole_video(causal):
    features = torch.randn(2, 90, D)
    state, rows = None, []
    with torch.inference_mode():
        for frame in features.unbind(1):
            logits, state = causal.step(frame, state)
            rows.append(logits)
    steps = torch.stack(rows, dim=1)
    # Shorter videos have the same first steps.
    for length in (1, 2, 17, 90):
        expected = predict(causal, features[:, :length])
        torch.testing.assert_close(steps[:, :length], expected, atol=1e-5, rtol=1e-5)


def test_steps_with_videos_of_other_lengths_are_those_of_the_padded_batch(causal):
    features, mask = torch.randn(3, 20, D), torch.ones(3, 20, dtype=torch.bool)
    mask[0, 7:], mask[2, 1:] = False, False
    state, rows = None, []
    with torch.inference_mode():
        for frame in features.unbind(1):
            logits, state = causal.step(frame, state)
            rows.append(logits)
    expected = predict(causal, features, mask)[mask]
    torch.testing.assert_close(torch.stack(rows, dim=1)[mask], expected, atol=1e-5, rtol=1e-5)


def test_steps_go_on_beyond_the_receptive_field(near_causal):
    length = 30 + near_causal.receptive_field
    features = torch.randn(1, length, D)
    state = None
    with torch.inference_mode():
        for frame in features.unbind(1):
            logits, state = near_causal.step(frame, state)
    expected = predict(near_causal, features)[:, -1]
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=1e-5)


def test_a_state_can_be_gone_on_from_twice(causal):
    """No step writes into the state that it was given."""
    features = torch.randn(1, 6, D)
    with torch.inference_mode():
        state = causal(features, whole(features)).state
        once, _ = causal.step(features[:, 0], state)
        again, _ = causal.step(features[:, 0], state)
    assert torch.equal(once, again)


def test_a_network_that_looks_ahead_has_no_steps(offline):
    with pytest.raises(NotImplementedError, match="looks into the future"):
        offline.step(torch.randn(1, D))


def test_windows_with_carried_state_are_the_whole_video(windowed):
    features = torch.randn(1, 50, D)
    state, parts = None, []
    with torch.inference_mode():
        for window in features.split(16, dim=1):
            outputs = windowed(window, whole(window), state)
            parts.append(outputs.logits[-1])
            state = outputs.state
    torch.testing.assert_close(torch.cat(parts, dim=1), predict(windowed, features))


def test_the_receptive_field_is_the_measured_one(near):
    field = near.receptive_field
    reach = field or 50
    network = near.double()
    # Several videos, since a ReLU may shut some way through the layers in one of them.
    features = torch.randn(8, 2 * reach + 8, D, dtype=torch.float64, requires_grad=True)
    logits = network(features, whole(features)).logits[-1]

    def reached(frame):
        (grad,) = torch.autograd.grad(logits[:, frame].sum(), features, retain_graph=True)
        return int((grad.abs().sum(dim=(0, 2)) > 0).sum())

    if field:
        # Where rates are halved, what decides a frame depends on its number modulo 2, 4, 8.
        assert max(reached(frame) for frame in range(reach, reach + 8)) == field
    else:
        assert reached(reach) == (reach + 1 if network.causal else features.shape[1])


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


def test_videos_in_another_order_have_their_logits_in_that_order(network):
    features = torch.randn(3, 12, D)
    mask = whole(features)
    mask[1, 7:] = False
    order = [2, 0, 1]
    logits, permuted = (
        predict(network, features, mask),
        predict(network, features[order], mask[order]),
    )
    for row, original in enumerate(order):
        length = int(mask[original].sum())
        torch.testing.assert_close(
            permuted[row, :length], logits[original, :length], atol=1e-6, rtol=1e-5
        )


def test_every_phase_trains_something_and_its_loss_reaches_it(network):
    features = torch.randn(2, 9, D)
    labels = torch.randint(0, C, (2, 9))
    for phase in network.training_phases:
        network.begin_phase(phase)
        network.train().zero_grad()
        outputs = network(features, whole(features))
        loss = sum(logits.square().mean() for logits in outputs.logits)
        extra = network.extra_loss(outputs, labels, whole(features))
        if extra is not None:
            assert extra.shape == ()
            loss = loss + extra
        loss.backward()
        trained = [p for p in network.parameters() if p.requires_grad]
        assert trained
        assert all(p.grad is not None for p in trained)


@pytest.mark.parametrize("case", NETWORKS, ids=named)
def test_a_header_rebuilds_it(case):
    network = built(case)
    kind, form = case
    header = {
        "kind": kind,
        "model": KINDS[kind].Params(**form).model_dump(),
        "dim": D,
        "classes": [f"class {number}" for number in range(C)],
    }
    again = rebuilt(header).eval()
    again.load_state_dict(network.state_dict())
    features = torch.randn(1, 8, D)
    assert torch.equal(predict(again, features), predict(network, features))
