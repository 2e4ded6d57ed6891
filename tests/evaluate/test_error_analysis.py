"""Where errors are: by hand."""

import numpy as np

from pipeline.evaluate.error_analysis import confused_pairs, near_transitions, worst_runs
from pipeline.scored_video import ScoredVideo


def test_confused_pairs_come_with_their_shares():
    pairs = confused_pairs(np.array([[8, 2, 0], [0, 5, 5], [0, 1, 9]]), 2)
    assert [(p.truth, p.prediction, p.count) for p in pairs] == [(1, 2, 5), (0, 1, 2)]
    assert pairs[0].of_errors == 5 / 8 and pairs[0].of_phase == 0.5
    assert confused_pairs(np.diag([3, 4]), 5) == []


def test_errors_near_transitions_are_told_from_others():
    truth = np.repeat([0, 1], 100)
    prediction = truth.copy()
    prediction[95:100], prediction[5] = 1, 1
    found = near_transitions([ScoredVideo(truth, prediction)], 1.0, 10)
    assert found.of_errors == 5 / 6 and found.of_frames == 20 / 200
    assert np.isnan(near_transitions([ScoredVideo(truth, truth)], 1.0, 10).of_errors)


def test_worst_runs_are_the_longest_with_one_pair_of_phases():
    truth = np.r_[np.zeros(10, dtype=np.int64), [-1] * 5]
    prediction = np.array([0, 1, 1, 2, 2, 2, 0, 1, 0, 0, 3, 3, 3, 3, 3])
    runs = worst_runs({"v": ScoredVideo(truth, prediction)}, 2)
    assert [(r.start, r.end, r.truth, r.prediction) for r in runs] == [(3, 6, 0, 2), (1, 3, 0, 1)]
