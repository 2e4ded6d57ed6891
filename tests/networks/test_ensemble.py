"""Several trained networks that answer together."""

import pytest
import torch

from pipeline.networks.temporal import KINDS
from pipeline.networks.temporal.ensemble import Ensemble, chosen
from pipeline.networks.temporal.params import rebuilt

D, C = 6, 4
FORMS = {
    "rnn": {"hidden": 5, "dropout": 0.0},
    "tecno": {"stages": 2, "layers": 3, "maps": 4, "dropout": 0.0},
}


def ensemble(kind, count=3, **form):
    torch.manual_seed(0)
    params = KINDS[kind].Params(**(FORMS[kind] | form))
    members = [KINDS[kind].build(D, C, params) for _ in range(count)]
    for number, member in enumerate(members):
        member.standardise.fit(torch.full((D,), 0.1 * number), torch.full((D,), 1.0 + number))
    return Ensemble(members).eval(), members, params


@pytest.mark.parametrize("kind", FORMS)
@torch.inference_mode()
def test_its_probabilities_are_the_mean_of_its_members_and_padding_changes_nothing(kind):
    network, members, _ = ensemble(kind)
    features, mask = torch.randn(2, 9, D), torch.ones(2, 9, dtype=torch.bool)
    mask[1, 5:] = False
    found = network(features, mask).logits[-1].softmax(dim=-1)
    each = [member(features, mask).logits[-1].softmax(dim=-1) for member in members]
    expected = torch.stack(each).mean(dim=0)
    torch.testing.assert_close(found[mask], expected[mask])
    short = network(features[1:, :5], mask[1:, :5]).logits[-1].softmax(dim=-1)
    torch.testing.assert_close(found[1:, :5], short)


@pytest.mark.parametrize("kind", FORMS)
@torch.inference_mode()
def test_steps_equal_the_whole(kind):
    network, _, _ = ensemble(kind)
    features = torch.randn(2, 12, D)
    whole = network(features, torch.ones(2, 12, dtype=torch.bool)).logits[-1]
    state, steps = None, []
    for column in features.unbind(dim=1):
        logits, state = network.step(column, state)
        steps.append(logits)
    torch.testing.assert_close(torch.stack(steps, dim=1), whole, atol=1e-5, rtol=1e-5)


def test_it_looks_as_far_as_its_members_do():
    causal, members, _ = ensemble("tecno")
    assert causal.causal and causal.receptive_field == members[0].receptive_field
    offline, _, _ = ensemble("rnn", bidirectional=True)
    assert not offline.causal and offline.receptive_field is None
    with pytest.raises(NotImplementedError):
        offline.step(torch.zeros(1, D))


@torch.inference_mode()
def test_a_header_with_members_rebuilds_it_and_names_whom_to_ask():
    network, members, params = ensemble("rnn", count=4)
    which = [(1, 8), (1, 9), (2, 8), (2, 9)]
    header = {
        **{"kind": "rnn", "model": params.model_dump(), "dim": D},
        **{"classes": list("abcd")},
        "members": [{"fold": fold, "seed": seed} for fold, seed in which],
    }
    again = rebuilt(header).eval()
    again.load_state_dict(network.state_dict())
    features, mask = torch.randn(1, 7, D), torch.ones(1, 7, dtype=torch.bool)

    def asked(found):
        return found(features, mask).logits[-1]

    assert torch.equal(asked(again), asked(network))
    assert torch.equal(asked(chosen(again, header, fold=2)), asked(Ensemble(members[2:])))
    assert torch.equal(asked(chosen(again, header, seed=9)), asked(Ensemble(members[1::2])))
    assert torch.equal(asked(chosen(again, header, 1, 9)), asked(members[1]))
    assert chosen(members[0], {}, fold=1) is members[0]
