"""Median and shortest run against their definitions."""

import numpy as np
import pytest

from pipeline.postprocess import median
from pipeline.postprocess.min_duration import without_short_runs
from pipeline.segments import segments


def frames(length, classes=4, seed=0):
    return np.log(np.random.default_rng(seed).dirichlet(np.ones(classes), length))


def test_a_window_is_an_odd_number_of_frames():
    assert [median.window_frames(s, 1) for s in (0, 1, 2, 5, 10)] == [1, 1, 3, 5, 11]
    assert median.window_frames(2, 2) == 5


@pytest.mark.parametrize("online", [False, True])
@pytest.mark.parametrize(("length", "window"), [(40, 1), (40, 7), (5, 11), (1, 3)])
def test_the_median_is_that_of_the_window_with_the_ends_repeated(length, window, online):
    logs = frames(length)
    padded = np.concatenate([[logs[0]] * window, logs, [logs[-1]] * window])
    first = 1 if online else window - window // 2
    expected = [np.median(padded[first + t : first + t + window], axis=0) for t in range(length)]
    np.testing.assert_array_equal(median.smoothed(logs, window, online), expected)


@pytest.mark.parametrize("window", [1, 9])
def test_the_online_median_does_not_see_what_follows_and_can_be_taken_in_steps(window):
    logs = frames(50)
    whole = median.smoothed(logs, window, online=True)
    np.testing.assert_array_equal(median.smoothed(logs[:20], window, online=True), whole[:20])
    state = None
    for t, row in enumerate(logs):
        found, state = median.step(row, state, window)
        np.testing.assert_array_equal(found, whole[t])


@pytest.mark.parametrize("least", [1, 2, 5, 30])
@pytest.mark.parametrize("seed", range(4))
def test_no_short_run_is_left_and_a_prediction_without_one_stays(seed, least):
    logs = frames(300, seed=seed)
    prediction = np.random.default_rng(seed).integers(0, 4, 12).repeat(25)
    flips = np.random.default_rng(seed).random(300) < 0.2
    flickering = np.where(flips, logs.argmax(axis=1), prediction)
    found = without_short_runs(flickering, logs, least)
    runs = segments(found)
    assert (runs.end - runs.start).min() >= least
    np.testing.assert_array_equal(without_short_runs(found, logs, least), found)
    if least == 1:
        np.testing.assert_array_equal(found, flickering)


def test_a_short_run_goes_to_the_neighbour_that_its_frames_speak_for():
    prediction = np.array([0, 0, 0, 1, 2, 2, 2])
    logs = np.log(np.tile([0.1, 0.6, 0.3], (7, 1)))
    assert without_short_runs(prediction, logs, 2).tolist() == [0, 0, 0, 2, 2, 2, 2]
    logs = logs[:, [2, 1, 0]]
    assert without_short_runs(prediction, logs, 2).tolist() == [0, 0, 0, 0, 2, 2, 2]
    assert without_short_runs(prediction, logs, 4).tolist() in ([0] * 7, [0] * 4 + [2] * 3)
    assert without_short_runs(np.array([1]), logs[:1], 9).tolist() == [1]
