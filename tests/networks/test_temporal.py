import pytest
import torch
from torch import nn

from pipeline.errors import PipelineError
from pipeline.networks.temporal import KINDS
from pipeline.networks.temporal.blocks.gru import gru
from pipeline.networks.temporal.params import check_window, read_model
from pipeline.networks.temporal.rnn import RecurrentNetwork
from pipeline.networks.temporal.standardise import Standardise
from pipeline.networks.temporal.tecno import Tecno

D, C = 6, 4


def test_the_receptive_field_of_tecno_is_the_papers():
    assert Tecno(D, C, stages=2, layers=8, maps=4, dropout=0.5).receptive_field == 1021


# Shorter and longer than the lag between layers, and a multiple of it.
@pytest.mark.parametrize("frames", [1, 15, 32, 53])
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_the_gru_is_trained_with_the_values_and_gradients_of_torchs(layers, frames):
    torch.manual_seed(0)
    network = RecurrentNetwork(D, C, "gru", 8, layers, 0.0, bidirectional=False).double()
    features = torch.randn(3, frames, D, dtype=torch.float64, requires_grad=True)
    state = torch.randn(layers, 3, 8, dtype=torch.float64, requires_grad=True)
    wanted = [features, state, *network.parameters()]

    def found(logits, end):
        loss = logits.square().sum() + end.sin().sum()
        return [logits, end, *torch.autograd.grad(loss, wanted)]

    outputs = network(features, torch.ones(3, frames, dtype=torch.bool), state)
    y, end = network.recurrent(features, state)
    expected = found(network.head(y), end)
    for one, two in zip(found(outputs.logits[-1], outputs.state), expected, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-10, atol=1e-12)


def test_dropout_between_the_layers_of_the_gru_is_that_between_single_layers_of_torchs():
    torch.manual_seed(0)
    stacked = nn.GRU(D, 8, 3, batch_first=True, dropout=0.4).double()
    singles = [nn.GRU(width, 8, batch_first=True).double() for width in (D, 8, 8)]
    features = torch.randn(2, 40, D, dtype=torch.float64)
    torch.manual_seed(1)
    found, _ = gru(stacked, features, None)
    torch.manual_seed(1)
    y = features
    for single, weights in zip(singles, stacked.all_weights, strict=True):
        if single is not singles[0]:  # drawn over (T, B, H)
            y = nn.functional.dropout(y.transpose(0, 1).contiguous(), 0.4).transpose(0, 1)
        named = dict(zip(single.state_dict(), weights, strict=True))
        y, _ = torch.func.functional_call(single, named, (y,))
    outcomes = [[z, *torch.autograd.grad(z.sin().sum(), stacked.parameters())] for z in (found, y)]
    for one, two in zip(*outcomes, strict=True):
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


CAN_BE_CAUSAL = (
    "rnn, tecno, linear, mlp, mstcn, mstcnpp, asformer, transsvnet, opera, tunes, ssm, row_bilstm"
)


@pytest.mark.parametrize("kind", ["mstcn", "mstcnpp", "asformer", "tunes"])
def test_one_key_chooses_the_form_of_every_kind_that_has_two(kind):
    own = {"kind": kind, kind: {"causal": True}}
    assert read_model({"kind": kind, "causal": True}) == read_model(own)
    assert read_model(own | {"causal": False}) == read_model({"kind": kind})
    assert read_model(own | {"causal": None}) == read_model(own)


@pytest.mark.parametrize("kind", KINDS)
def test_causal_true_lets_only_networks_pass_that_do_not_see_the_future(kind):
    if kind in CAN_BE_CAUSAL.split(", "):
        assert KINDS[kind].build(D, C, read_model({"kind": kind, "causal": True})[1]).causal
        return
    message = rf"model\.kind: {kind} sees the future\. Allowed with it: {CAN_BE_CAUSAL}$"
    with pytest.raises(PipelineError, match=message):
        read_model({"kind": kind, "causal": True})


def test_causal_true_refuses_a_network_that_reads_from_the_end():
    with pytest.raises(PipelineError, match=r"Set model\.bidirectional: false"):
        read_model({"bidirectional": True, "causal": True})


def test_a_network_without_attention_is_described_as_before_there_was_any():
    without = read_model({"attention_frames": 5})[1]
    assert list(without.model_dump()) == ["rnn", "hidden", "layers", "dropout", "bidirectional"]
    chosen = read_model({"attention": True, "attention_frames": 5})[1].model_dump()
    assert chosen == without.model_dump() | {"attention": True, "attention_frames": 5}


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_attention_is_that_of_the_paper_over_the_last_hidden_states(cell):
    """Frame by frame: weights over the states t - 2 to t, then tanh(W [c; h])."""
    network = RecurrentNetwork(D, C, cell, 8, 1, 0.0, bidirectional=False, attention_frames=3)
    features = torch.randn(1, 9, D)
    with torch.inference_mode():
        logits = network(features, torch.ones(1, 9, dtype=torch.bool)).logits[-1][0]
        h = network.recurrent(features)[0][0]
        for t in range(9):
            near = h[max(0, t - 2) : t + 1]
            weights = (near @ network.attention.query(h[t]) / 8**0.5).softmax(dim=0)
            joined = torch.cat((weights @ near, h[t]))
            expected = network.head(torch.tanh(network.attention.join(joined)))
            torch.testing.assert_close(logits[t], expected, rtol=1e-4, atol=1e-5)


def test_attention_across_windows_is_that_over_the_whole_video():
    network = RecurrentNetwork(D, C, "gru", 8, 2, 0.0, bidirectional=False, attention_frames=6)
    features, mask = torch.randn(2, 20, D), torch.ones(2, 20, dtype=torch.bool)
    whole = network(features, mask).logits[-1]
    state, parts = None, []
    for start in range(0, 20, 4):
        part = slice(start, start + 4)
        outputs = network(features[:, part], mask[:, part], state)
        parts.append(outputs.logits[-1])
        state = outputs.state
    torch.testing.assert_close(torch.cat(parts, dim=1), whole)
