import numpy as np
import pytest
import torch
from torch.nn import functional

from pipeline.training.class_weights import class_weights
from pipeline.training.frame_loss import FrameLoss
from pipeline.training.sequence_loss import SequenceLoss

WEIGHTS = torch.tensor([1.0, 2.0, 0.5])


def test_class_weights_are_those_of_their_formulas():
    labels = np.repeat([0, 1, 2, -1], [10, 20, 50, 7])
    np.testing.assert_allclose(class_weights("none", labels, 4), [1, 1, 1, 0])
    np.testing.assert_allclose(class_weights("inverse", labels, 4), [80 / 30, 80 / 60, 80 / 150, 0])
    np.testing.assert_allclose(class_weights("median", labels, 4), [2, 1, 0.4, 0])
    effective = np.array([(1 - 0.9999) / (1 - 0.9999**n) for n in (10, 20, 50)])
    np.testing.assert_allclose(
        class_weights("effective", labels, 4)[:3], effective / effective.mean()
    )


def test_the_loss_of_sequences_is_torchs_over_labelled_frames_and_the_mean_over_refinements():
    torch.manual_seed(0)
    one, two = torch.randn(2, 9, 3), torch.randn(2, 9, 3)
    labels = torch.randint(0, 3, (2, 9))
    labels[0, 4:] = -1
    expected = [
        functional.cross_entropy(x.flatten(0, 1), labels.flatten(), WEIGHTS, ignore_index=-1)
        for x in (one, two)
    ]
    torch.testing.assert_close(SequenceLoss(WEIGHTS)([one, two], labels), sum(expected) / 2)
    assert SequenceLoss(WEIGHTS)([one], torch.full((2, 9), -1)) == 0


def test_the_loss_of_frames_is_torchs_and_the_sum_of_its_parts():
    torch.manual_seed(0)
    logits, tools = torch.randn(8, 3), torch.randn(8, 2)
    labels, present = torch.randint(0, 3, (8,)), torch.randint(0, 2, (8, 2)).float()
    present[:2] = torch.nan
    whole = (WEIGHTS[labels].sum().item(), 12.0)
    loss_of = FrameLoss(WEIGHTS, "cross_entropy", label_smoothing=0.1, focal_gamma=2.0, tools=0.7)
    loss = loss_of((logits, tools), labels, present, whole)
    expected = functional.cross_entropy(logits, labels, WEIGHTS, label_smoothing=0.1)
    expected += 0.7 * functional.binary_cross_entropy_with_logits(tools[2:], present[2:])
    torch.testing.assert_close(loss, expected)
    parts = [
        loss_of((logits[i], tools[i]), labels[i], present[i], whole)
        for i in (slice(0, 3), slice(3, 8))
    ]
    torch.testing.assert_close(sum(parts), loss)


def test_the_focal_loss_without_focus_is_the_cross_entropy():
    torch.manual_seed(0)
    logits, labels = torch.randn(8, 3), torch.randint(0, 3, (8,))
    none, whole = torch.zeros(8, 0), (WEIGHTS[labels].sum().item(), 1.0)

    def focal(gamma):
        return FrameLoss(WEIGHTS, "focal", 0.0, gamma, 0.0)((logits, none), labels, none, whole)

    torch.testing.assert_close(focal(0.0), functional.cross_entropy(logits, labels, WEIGHTS))
    assert focal(2.0) < focal(0.0)


@pytest.mark.parametrize(
    ("values", "of_frames"),
    [
        ({"label_smoothing": 0.1}, ("cross_entropy", 0.1, 0.0)),
        ({"kind": "focal", "focal_gamma": 1.5}, ("focal", 0.0, 1.5)),
    ],
)
def test_the_loss_of_sequences_is_that_of_their_labelled_frames(values, of_frames):
    torch.manual_seed(0)
    logits, labels = torch.randn(2, 9, 3), torch.randint(0, 3, (2, 9))
    labels[0, 4:] = -1
    known = labels >= 0
    frames, classes = logits[known], labels[known]
    none, whole = torch.zeros(len(classes), 0), (WEIGHTS[classes].sum().item(), 1.0)
    kind, smoothing, gamma = of_frames
    expected = FrameLoss(WEIGHTS, kind, smoothing, gamma, 0.0)((frames, none), classes, none, whole)
    torch.testing.assert_close(SequenceLoss(WEIGHTS, **values)([logits], labels), expected)
    assert SequenceLoss(WEIGHTS, **values)([logits], torch.full((2, 9), -1)) == 0
