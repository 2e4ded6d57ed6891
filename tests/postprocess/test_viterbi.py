"""Viterbi and forward algorithm against sums and maxima over all sequences of phases."""

import itertools

import numpy as np
import pytest

from pipeline.postprocess.forward import filtered
from pipeline.postprocess.prior import Prior, learn_prior, prior_of
from pipeline.postprocess.viterbi import decode


def random_prior(seed, classes, longest):
    random = np.random.default_rng(seed)
    transitions = random.dirichlet(np.ones(classes), classes) * (1 - np.eye(classes))
    return Prior(
        random.dirichlet(np.ones(classes)),
        transitions / transitions.sum(axis=1, keepdims=True),
        random.uniform(0.05, 0.95, classes),
        random.integers(1, longest + 1, classes),
    )


def frames(seed, length, classes):
    return np.log(np.random.default_rng(seed).dirichlet(np.full(classes, 0.5), length))


def probability_of(path, prior):
    """Of the runs of a path, whose last one the video's end has cut short."""
    runs = [(phase, len(list(group))) for phase, group in itertools.groupby(path)]
    value = prior.start[runs[0][0]]
    for number, (phase, duration) in enumerate(runs):
        leave, over = prior.leave[phase], duration - prior.least[phase]
        if number == len(runs) - 1:
            value *= (1 - leave) ** max(over, 0)
        elif over < 0:
            return 0.0
        else:
            value *= leave * (1 - leave) ** over
            value *= prior.transitions[phase, runs[number + 1][0]]
    return value


def joint(path, logs, prior):
    return probability_of(path, prior) * np.exp(logs[range(len(path)), path].sum())


CASES = [
    (seed, classes, length, longest)
    for seed, (classes, length, longest) in enumerate(
        [(2, 9, 1), (2, 9, 4), (3, 7, 1), (3, 7, 3), (3, 7, 9), (4, 5, 2), (3, 1, 2), (1, 4, 2)] * 3
    )
]


@pytest.mark.parametrize(("seed", "classes", "length", "longest"), CASES)
def test_the_decoded_sequence_is_the_likeliest_of_all(seed, classes, length, longest):
    prior = prior_with_one_class() if classes == 1 else random_prior(seed, classes, longest)
    logs = frames(seed, length, classes)
    every = list(itertools.product(range(classes), repeat=length))
    best = max(every, key=lambda path: joint(path, logs, prior))
    assert decode(logs, prior).tolist() == list(best)


@pytest.mark.parametrize(("seed", "classes", "length", "longest"), CASES)
def test_the_posterior_sums_over_all_sequences_up_to_the_frame(seed, classes, length, longest):
    prior = prior_with_one_class() if classes == 1 else random_prior(seed, classes, longest)
    logs = frames(seed, length, classes)
    found = filtered(logs, prior)
    for t in range(length):
        mass = np.zeros(classes)
        for path in itertools.product(range(classes), repeat=t + 1):
            mass[path[-1]] += joint(path, logs, prior)
        np.testing.assert_allclose(found[t], mass / mass.sum(), atol=1e-12)


def prior_with_one_class():
    return learn_prior([np.zeros(5, dtype=np.int64)], 1, 2)


@pytest.mark.parametrize("seed", range(3))
def test_the_probabilities_of_all_sequences_of_a_length_sum_to_one(seed):
    prior = random_prior(seed, 3, 3)
    total = sum(probability_of(path, prior) for path in itertools.product(range(3), repeat=7))
    assert total == pytest.approx(1)


def test_the_posterior_of_a_prefix_is_the_prefix_of_the_posterior():
    logs, prior = frames(0, 60, 4), random_prior(0, 4, 9)
    whole = filtered(logs, prior)
    for length in (1, 7, 30):
        np.testing.assert_array_equal(filtered(logs[:length], prior), whole[:length])


def test_hours_of_certain_and_contradicting_frames_leave_numbers_finite():
    logs = np.full((5000, 3), -2000.0)
    logs[np.arange(5000), np.random.default_rng(0).integers(0, 3, 5000)] = 0
    prior = random_prior(1, 3, 40)
    posterior = filtered(logs, prior)
    np.testing.assert_allclose(posterior.sum(axis=1), 1)
    assert set(decode(logs, prior)) <= {0, 1, 2}


def test_the_prior_is_counted_in_the_training_labels():
    videos = [np.array([0, 0, 0, -1, 0, 1, 1, 2]), np.array([-1, 1, 1, 1, 0, 0])]
    prior = learn_prior(videos, 4, 2)
    np.testing.assert_allclose(prior.start, np.array([2, 2, 1, 1]) / 6)
    # 0 -> 1, 1 -> 2, 1 -> 0, each pair once more than it was seen.
    np.testing.assert_allclose(prior.transitions[0], np.array([0, 2, 1, 1]) / 4)
    np.testing.assert_allclose(prior.transitions[1], np.array([2, 0, 2, 1]) / 5)
    np.testing.assert_allclose(prior.transitions[3], np.array([1, 1, 1, 0]) / 3)
    # Phase 2 has one run of one frame, which is below the two that are wanted.
    assert prior.least.tolist() == [2, 2, 1, 2]
    # Phase 0: one run ended and one did not; beyond two frames it went on for 2 + 0.
    np.testing.assert_allclose(prior.leave, [2 / 5, 3 / 5, 1 / 2, 1 / 2])


def test_a_header_holds_the_prior_as_it_is():
    prior = random_prior(3, 3, 5)
    again = prior_of(prior.record())
    for name in ("start", "transitions", "leave", "least"):
        np.testing.assert_array_equal(getattr(again, name), getattr(prior, name))
