import pytest
import torch

from pipeline.errors import PipelineError
from pipeline.networks.temporal import KINDS
from pipeline.networks.temporal.params import check_window, read_model
from pipeline.networks.temporal.rnn import RecurrentNetwork
from pipeline.networks.temporal.standardise import Standardise
from pipeline.networks.temporal.tecno import Tecno

D, C = 6, 4


def test_the_receptive_field_of_tecno_is_the_papers():
    assert Tecno(D, C, stages=2, layers=8, maps=4, dropout=0.5).receptive_field == 1021


@pytest.mark.parametrize("layers", [1, 2])
def test_the_gru_is_trained_with_the_values_and_gradients_of_torchs(layers):
    torch.manual_seed(0)
    network = RecurrentNetwork(D, C, "gru", 8, layers, 0.0, bidirectional=False).double()
    features = torch.randn(3, 15, D, dtype=torch.float64, requires_grad=True)
    state = torch.randn(layers, 3, 8, dtype=torch.float64, requires_grad=True)
    wanted = [features, state, *network.parameters()]

    def found(logits, end):
        loss = logits.square().sum() + end.sin().sum()
        return [logits, end, *torch.autograd.grad(loss, wanted)]

    outputs = network(features, torch.ones(3, 15, dtype=torch.bool), state)
    y, end = network.recurrent(features, state)
    expected = found(network.head(y), end)
    for one, two in zip(found(outputs.logits[-1], outputs.state), expected, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-10, atol=1e-12)


def test_every_refinement_of_tecno_has_its_logits():
    network = Tecno(D, C, stages=3, layers=2, maps=4, dropout=0.5)
    outputs = network(torch.randn(1, 5, D), torch.ones(1, 5, dtype=torch.bool))
    assert [logits.shape for logits in outputs.logits] == [(1, 5, C)] * 3


def test_the_state_of_tecno_is_the_past_of_its_layers_and_does_not_grow():
    network = Tecno(D, C, stages=2, layers=3, maps=4, dropout=0.5).eval()
    state = None
    for _ in range(20):
        _, state = network.step(torch.randn(1, D), state)
        assert [[past.shape[2] for past in layers] for layers in state] == [[2, 4, 8]] * 2


def test_trained_weights_keep_their_names():
    names = KINDS["rnn"].build(D, C, KINDS["rnn"].Params(hidden=4, layers=1)).state_dict()
    assert set(names) == {
        *("standardise.mean", "standardise.std", "head.weight", "head.bias"),
        *(f"recurrent.{part}_{way}_l0" for part in ("weight", "bias") for way in ("ih", "hh")),
    }
    names = KINDS["tecno"].build(D, C, KINDS["tecno"].Params(stages=1, layers=1)).state_dict()
    layers = ("enter", "layers.0.dilated", "layers.0.pointwise", "leave")
    assert set(names) == {
        *("standardise.mean", "standardise.std"),
        *(f"stages.0.{layer}.{part}" for layer in layers for part in ("weight", "bias")),
    }


def test_a_feature_that_never_changes_is_not_blown_up():
    layer = Standardise(2)
    layer.fit(torch.tensor([5.0, 1.0]), torch.tensor([0.0, 2.0]))
    torch.testing.assert_close(layer(torch.tensor([[5.0, 5.0]])), torch.tensor([[0.0, 2.0]]))


def test_the_section_of_the_chosen_kind_is_read_and_no_other():
    kind, params = read_model({"hidden": 7, "tecno": {"maps": 9}})
    assert (kind, params.model_dump()["hidden"]) == ("rnn", 7)
    assert "maps" not in params.model_dump()
    kind, params = read_model({"kind": "tecno", "hidden": 7, "tecno": {"maps": 9}})
    assert kind == "tecno"
    assert params == KINDS["tecno"].Params(maps=9)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"kind": "mamba"}, r"model\.kind: found 'mamba'\. Input should be 'rnn', 'tecno', "),
        ({"hiden": 3}, r"model\.hiden: unknown key\. Did you mean `hidden`\?"),
        ({"tecno": {"map": 3}}, r"model\.tecno\.map: unknown key\. Did you mean `maps`\?"),
        ({"dropout": 2}, r"model\.dropout: found 2\. Input should be less than 1"),
    ],
)
def test_a_wrong_value_is_named_with_its_key(section, message):
    with pytest.raises(PipelineError, match=message):
        read_model(section)


def test_windows_are_refused_where_no_state_is_carried():
    check_window(*read_model({}), 16)
    check_window(*read_model({"kind": "tecno", "bidirectional": True}), None)
    with pytest.raises(PipelineError, match=r"train\.window is 16, but model\.kind: tecno"):
        check_window(*read_model({"kind": "tecno"}), 16)
    with pytest.raises(PipelineError, match=r"looks into the future needs the whole video"):
        check_window(*read_model({"bidirectional": True}), 16)
