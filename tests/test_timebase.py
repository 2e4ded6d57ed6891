from fractions import Fraction

import numpy as np
import pytest

from pipeline.timebase import exact_fps, labels_at, sample_count


def test_a_rate_is_the_fraction_that_was_written():
    assert exact_fps(25) == 25
    assert exact_fps(0.1) == Fraction(1, 10)
    assert exact_fps(29.97) == Fraction(2997, 100)
    assert exact_fps("30000/1001") == Fraction(30000, 1001)


@pytest.mark.parametrize("value", [0, -1, "fast", "1/0"])
def test_what_is_no_rate_is_refused(value):
    with pytest.raises(ValueError, match="is no rate"):
        exact_fps(value)


def test_samples_end_with_the_last_frame():
    assert sample_count(Fraction(219 * 25 - 1, 25), Fraction(1)) == 219
    assert sample_count(Fraction(2), Fraction(1)) == 3
    assert sample_count(Fraction(0), Fraction(5)) == 1


def test_the_label_of_a_frame_is_the_run_that_contains_its_time():
    time_s = np.array([0.0, 0.99, 1.0, 2.5, 3.0, 4.0, 9.0])
    labels = labels_at(time_s, np.array([1.0, 3.0]), np.array([2.5, 4.0]), np.array([4, 2]))
    np.testing.assert_array_equal(labels, [-1, -1, 4, -1, 2, -1, -1])


def test_a_boundary_rounded_to_six_digits_does_not_move_a_frame():
    third = 100 / 3
    labels = labels_at(
        np.array([third]), np.array([0.0, 33.333333]), np.array([33.333333, 50]), np.array([0, 1])
    )
    assert labels.tolist() == [1]
    two_thirds = 200 / 3  # written as 66.666667, a little after the frame
    labels = labels_at(
        np.array([two_thirds]),
        np.array([0.0, 66.666667]),
        np.array([66.666667, 90]),
        np.array([0, 1]),
    )
    assert labels.tolist() == [1]


def test_without_runs_every_frame_is_unlabelled():
    nothing = np.array([])
    labels = labels_at(np.arange(3.0), nothing, nothing, nothing.astype(np.int64))
    assert labels.tolist() == [-1, -1, -1]
