"""Several tracks from networks whose refinements read the predictions of the one before."""

import pytest
import torch
from torch.nn import functional

from pipeline.networks.temporal import KINDS
from pipeline.networks.temporal.params import check_tracks, has_refinements
from pipeline.networks.temporal.refined_track_heads import KindOfRefinedTracks, RefinedTrackHeads
from pipeline.networks.temporal.track_heads import joint_labels
from pipeline.training.refined_track_loss import RefinedTrackLoss
from pipeline.training.sequence_loss import SequenceLoss
from pipeline.training.track_loss import TrackLoss

D, EACH = 6, (3, 4, 2)
SMALL = {
    "tecno": {"stages": 3, "layers": 2, "maps": 8},
    "mstcn": {"stages": 3, "layers": 2, "maps": 8, "causal": True},
    "mstcnpp": {
        **{"predictor_layers": 2, "refinements": 2, "refinement_layers": 2},
        **{"maps": 8, "causal": True},
    },
    "asformer": {"decoders": 2, "layers": 2, "maps": 8, "causal": True},
}


def network(kind, seed=0, **numbers):
    torch.manual_seed(seed)
    params = KINDS[kind].Params(**SMALL[kind] | numbers)
    return KindOfRefinedTracks(KINDS[kind], EACH[1:]).build(D, EACH[0], params).eval()


def chain(tracks):
    return tracks.network.coders if hasattr(tracks.network, "coders") else tracks.network.stages


def whole(features):
    return torch.ones(features.shape[:2], dtype=torch.bool)


def labels(length):
    torch.manual_seed(1)
    return [torch.randint(-1, number, (length,)).numpy() for number in EACH]


def test_the_kinds_that_refine_are_these():
    found = {name for name, kind in KINDS.items() if has_refinements(name, kind.Params())}
    assert found == set(SMALL)
    for name in found:
        check_tracks(name, KINDS[name].Params(), ["phase", "step"])


@pytest.mark.parametrize("kind", SMALL)
def test_a_refinement_reads_the_softmax_of_each_track(kind):
    tracks, features = network(kind), torch.randn(2, 7, D)
    read = []
    for inner in chain(tracks)[1:]:
        inner.inner.register_forward_pre_hook(lambda _, given: read.append(given[0]))
    logits = tracks(features, whole(features)).logits
    assert [own.shape[-1] for own in logits] == list(reversed(EACH)) * 3
    for number, x in enumerate(read):
        before = reversed(logits[number * 3 : number * 3 + 3])
        expected = torch.cat([own.softmax(dim=2) for own in before], dim=2)
        torch.testing.assert_close(x.transpose(1, 2), expected)


@pytest.mark.parametrize("kind", SMALL)
def test_how_sure_one_track_is_does_not_press_on_another(kind):
    """A constant on all logits of a track means nothing to its softmax, but much to a joint one."""
    tracks, features = network(kind), torch.randn(1, 7, D)
    before = tracks(features, whole(features)).logits
    with torch.no_grad():
        chain(tracks)[0].inner.leave.bias[EACH[0] : EACH[0] + EACH[1]] += 200.0
    after = tracks(features, whole(features)).logits
    torch.testing.assert_close(after, before, atol=1e-4, rtol=0)


@pytest.mark.parametrize("kind", SMALL)
def test_the_past_is_enough_and_a_step_is_the_whole(kind):
    tracks, features = network(kind), torch.randn(2, 9, D)
    logits = tracks(features, whole(features)).logits
    prefix = tracks(features[:, :5], whole(features)[:, :5]).logits
    for one, part in zip(logits, prefix, strict=True):
        torch.testing.assert_close(part, one[:, :5], atol=1e-5, rtol=0)
    for number in range(len(EACH)):
        answering, state = tracks.answering(number), None
        assert answering.num_classes == EACH[number]
        expected = logits[-1 - number]
        assert torch.equal(answering(features, whole(features)).logits[-1], expected)
        for t in range(9):
            row, state = answering.step(features[:, t], state)
            torch.testing.assert_close(row, expected[:, t], atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("kind", "numbers"),
    [
        ("tecno", {}),
        *(
            (kind, {"causal": causal})
            for kind in SMALL
            if kind != "tecno"
            for causal in (True, False)
        ),
    ],
)
def test_padding_changes_nothing(kind, numbers):
    tracks = network(kind, **numbers)
    features = torch.randn(2, 9, D)
    mask = whole(features)
    mask[1, 6:] = False
    padded = tracks(features, mask).logits
    alone = tracks(features[1:, :6], mask[1:, :6]).logits
    for one, own in zip(padded, alone, strict=True):
        torch.testing.assert_close(one[1:, :6], own, atol=1e-5, rtol=0)


def test_with_one_track_it_is_the_network_of_phases():
    params = KINDS["mstcn"].Params(**SMALL["mstcn"])
    torch.manual_seed(0)
    phases = KINDS["mstcn"].build(D, 3, params).eval()
    torch.manual_seed(0)
    track = KindOfRefinedTracks(KINDS["mstcn"], ()).build(D, 3, params).eval()
    features = torch.randn(1, 7, D)
    expected = phases(features, whole(features)).logits
    for one, own in zip(track(features, whole(features)).logits, expected, strict=True):
        torch.testing.assert_close(one.softmax(dim=2), own.softmax(dim=2))


def test_the_loss_is_the_mean_over_refinements_of_the_mean_over_tracks():
    tracks, features = network("tecno"), torch.randn(1, 20, D)
    own = labels(20)
    joint = torch.from_numpy(joint_labels(own, EACH))[None]
    weights = [torch.rand(number) + 0.5 for number in EACH]
    logits = tracks(features, whole(features)).logits
    loss = RefinedTrackLoss(TrackLoss([SequenceLoss(weight) for weight in weights]))
    expected = [
        functional.cross_entropy(
            logits[3 * refinement + 2 - track][0],
            torch.from_numpy(own[track]),
            weights[track],
            ignore_index=-1,
        )
        for refinement in range(3)
        for track in range(3)
    ]
    torch.testing.assert_close(loss(logits, joint), torch.stack(expected).mean())


@pytest.mark.parametrize("kind", ["mstcn", "asformer"])
def test_each_track_is_smoothed_in_all_refinements_by_itself(kind):
    tracks, features = network(kind), torch.randn(1, 12, D)
    mask = whole(features)
    outputs = tracks(features, mask)
    joint = torch.from_numpy(joint_labels(labels(12), EACH))[None]
    each = [
        tracks.network.extra_loss(outputs._replace(logits=[outputs.logits[n]]), joint, mask)
        for n in range(9)
    ]
    torch.testing.assert_close(tracks.extra_loss(outputs, joint, mask), torch.stack(each).mean())
    tecno = network("tecno")
    assert tecno.extra_loss(tecno(features, mask), joint, mask) is None


@pytest.mark.parametrize("kind", SMALL)
def test_every_parameter_learns(kind):
    tracks, features = network(kind).train(), torch.randn(1, 20, D)
    joint = torch.from_numpy(joint_labels(labels(20), EACH))[None]
    loss = RefinedTrackLoss(TrackLoss([SequenceLoss(torch.ones(number)) for number in EACH]))
    assert isinstance(tracks, RefinedTrackHeads)
    loss(tracks(features, whole(features)).logits, joint).backward()
    assert all(parameter.grad is not None for parameter in tracks.parameters())
