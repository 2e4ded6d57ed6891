"""One network with a head for each track, and the loss over tracks."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from pipeline.networks.temporal import KINDS
from pipeline.networks.temporal.ensemble import Ensemble
from pipeline.networks.temporal.track_heads import KindOfTracks, joint_labels, split_labels
from pipeline.training.sequence_loss import SequenceLoss
from pipeline.training.track_loss import TrackLoss

D, EACH = 6, (3, 4, 2)


def network(kind="linear", **numbers):
    torch.manual_seed(0)
    params = KINDS[kind].Params(**numbers)
    return KindOfTracks(KINDS[kind], EACH[1:]).build(D, EACH[0], params).eval()


def labels(length, seed=0):
    random = np.random.default_rng(seed)
    return [random.integers(-1, number, length) for number in EACH]


def test_joint_labels_give_back_the_class_of_every_track():
    grid = np.meshgrid(*(np.arange(-1, number) for number in EACH))
    tracks = [axis.ravel() for axis in grid]
    joint = joint_labels(tracks, EACH)
    assert len(set(joint)) == len(joint) and joint.min() == -1
    for found, own in zip(split_labels(torch.from_numpy(joint), EACH), tracks, strict=True):
        assert found.tolist() == own.tolist()


def test_a_frame_that_only_the_first_track_labels_keeps_its_class():
    unknown = np.full(4, -1)
    assert joint_labels([np.arange(-1, 3), unknown, unknown], EACH).tolist() == [-1, 0, 1, 2]


@pytest.mark.parametrize("kind", ["linear", "rnn", "opera"])
def test_each_track_answers_from_its_own_outputs_whole_and_step_by_step(kind):
    tracks, features = network(kind), torch.randn(2, 9, D)
    mask = torch.ones(2, 9, dtype=torch.bool)
    logits = tracks(features, mask).logits
    assert [own.shape[-1] for own in logits] == list(reversed(EACH))
    together = Ensemble([tracks, tracks])
    assert together.num_classes == EACH[0] and together(features, mask).logits[-1].shape[-1] == 3
    for number, own in enumerate(reversed(logits)):
        one = tracks.answering(number)
        assert one.num_classes == EACH[number]
        assert torch.equal(one(features, mask).logits[-1], own)
        state, steps = None, []
        for t in range(9):
            row, state = one.step(features[:, t], state)
            steps.append(row)
        torch.testing.assert_close(torch.stack(steps, dim=1), own, atol=1e-5, rtol=0)


def test_the_loss_is_the_mean_of_what_each_track_alone_would_have():
    logits = [torch.randn(1, 50, number) for number in EACH]
    own = labels(50)
    weights = [torch.rand(number) + 0.5 for number in EACH]
    joint = torch.from_numpy(joint_labels(own, EACH))[None]
    found = TrackLoss([SequenceLoss(weight) for weight in weights])(logits[::-1], joint)
    expected = [
        functional.cross_entropy(each[0], torch.from_numpy(of), weight, ignore_index=-1)
        for each, of, weight in zip(logits, own, weights, strict=True)
    ]
    torch.testing.assert_close(found, torch.stack(expected).mean())


def test_a_video_without_steps_has_the_loss_of_its_phases():
    logits = [torch.randn(1, 20, number) for number in EACH]
    own = [labels(20)[0], *(np.full(20, -1) for _ in EACH[1:])]
    losses = [SequenceLoss(torch.ones(number)) for number in EACH]
    joint = torch.from_numpy(joint_labels(own, EACH))[None]
    alone = losses[0]([logits[0]], torch.from_numpy(own[0])[None])
    assert torch.equal(TrackLoss(losses)(logits[::-1], joint), alone)


def test_the_head_of_one_track_is_not_moved_by_the_labels_of_another():
    tracks = network()
    features, mask = torch.randn(1, 30, D), torch.ones(1, 30, dtype=torch.bool)
    losses = TrackLoss([SequenceLoss(torch.ones(number)) for number in EACH])
    gradients = []
    for seed in (0, 1):
        own = [labels(30)[0], *labels(30, seed)[1:]]  # other steps, the same phases
        joint = torch.from_numpy(joint_labels(own, EACH))[None]
        tracks.zero_grad()
        losses(tracks(features, mask).logits, joint).backward()
        gradients.append(tracks.network.head.weight.grad.clone())
    assert torch.equal(gradients[0][: EACH[0]], gradients[1][: EACH[0]])
    assert not torch.equal(gradients[0][EACH[0] :], gradients[1][EACH[0] :])


def test_what_a_paper_adds_to_the_loss_is_taken_of_each_track_by_itself():
    tracks = network("mstcn", stages=1)
    outputs = tracks(torch.randn(1, 12, D), mask := torch.ones(1, 12, dtype=torch.bool))
    joint = torch.from_numpy(joint_labels(labels(12), EACH))[None]
    each = [
        tracks.network.extra_loss(outputs._replace(logits=[o]), joint, mask) for o in outputs.logits
    ]
    torch.testing.assert_close(tracks.extra_loss(outputs, joint, mask), torch.stack(each).mean())
    assert network().extra_loss(outputs, joint, mask) is None
