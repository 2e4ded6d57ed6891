"""Intervals, transitions, calibration, video labels, errors: against other code and by hand."""

import numpy as np
import pytest
from sklearn.metrics import (
    average_precision_score,
    balanced_accuracy_score,
    f1_score,
    roc_auc_score,
    roc_curve,
)

from pipeline.metrics.bootstrap import draw_videos, every_video_once, interval, mean_over_videos
from pipeline.metrics.boundary import (
    boundaries_by_phase,
    boundary_errors,
    boundary_figures,
    transitions,
)
from pipeline.metrics.calibration import BINS, calibration_error, reliability, stack
from pipeline.metrics.frame import confusion
from pipeline.metrics.keys import deviation_key, interval_keys, nested, value_at
from pipeline.metrics.measure import measure
from pipeline.metrics.ranking import (
    PooledFrames,
    ranking_figures,
    ranking_in_draws,
    roc_points,
)
from pipeline.metrics.segment import over_segmentation
from pipeline.metrics.summary import summarise
from pipeline.metrics.video_level import leave_one_surgeon_out, summarise_videos
from pipeline.phases import CHOLEC80
from pipeline.scored_video import ScoredVideo

GENERATOR = np.random.default_rng(11)


def video(length=300, phases=7, runs=8, noise=0.2):
    truth = np.repeat(GENERATOR.integers(0, phases, runs), length // runs)
    wrong = GENERATOR.random(len(truth)) < noise
    prediction = np.where(wrong, GENERATOR.integers(0, phases, len(truth)), truth)
    probabilities = GENERATOR.dirichlet(np.ones(phases), len(truth)) * 0.5
    probabilities[np.arange(len(truth)), prediction] += 0.5
    return ScoredVideo(truth, probabilities.argmax(axis=1), probabilities)


def test_a_draw_counts_a_video_as_often_as_it_holds_it():
    """Every metric in a draw is that of a test set which holds videos several times."""
    videos = {f"v{i}": video() for i in range(5)}
    measured = measure(videos, CHOLEC80, 1.0, 10)
    for draw in draw_videos(5, 6):
        drawn = [v for v, n in zip(videos.values(), draw, strict=True) for _ in range(int(n))]
        again = measure(dict(enumerate(drawn)), CHOLEC80, 1.0, 10)
        expected = again.figures(every_video_once(len(drawn)))
        for key, value in measured.figures(draw[None]).items():
            np.testing.assert_allclose(value, expected[key], rtol=1e-12, err_msg=key)


def test_draws_are_the_same_every_time_and_have_as_many_videos():
    np.testing.assert_array_equal(draw_videos(40, 100), draw_videos(40, 100))
    assert (draw_videos(40, 100).sum(axis=1) == 40).all()


def test_the_interval_of_a_mean_is_near_that_of_theory():
    values = GENERATOR.normal(0.8, 0.1, 200)
    low, high = interval(mean_over_videos(values, draw_videos(200, 4000)))
    error = 1.96 * values.std() / np.sqrt(200)
    assert low == pytest.approx(values.mean() - error, abs=0.002)
    assert high == pytest.approx(values.mean() + error, abs=0.002)
    assert np.isnan(interval(np.array([0.5]))).all()
    assert np.isnan(interval(np.full(9, np.nan))).all()


def test_intervals_stand_beside_their_figures():
    assert interval_keys("frame.f1.mean") == ("frame.f1.ci_low", "frame.f1.ci_high")
    assert interval_keys("frame.f1.per_phase_mean")[0] == "frame.f1.per_phase_ci_low"
    assert interval_keys("calibration.ece")[1] == "calibration.ece_ci_high"
    assert deviation_key("frame.f1.per_phase_mean") == "frame.f1.per_phase_std"
    assert value_at({"phase": {"a.b c": {"f1": 0.5}}}, "phase.a.b c.f1") == 0.5
    assert value_at({"frame": {}}, "frame.accuracy.mean") is None
    assert nested({"phase.a.b c.f1": 0.5, "x.y": float("nan")}) == {
        "phase": {"a.b c": {"f1": 0.5}},
        "x": {"y": None},
    }


def test_transitions_pass_over_unlabelled_time():
    labels = np.array([-1, 0, 0, -1, 0, 1, -1, -1, 2, 2])
    found = transitions(labels)
    assert found.into.tolist() == [1, 2] and found.at.tolist() == [5, 8]


def test_boundary_errors_are_seconds_to_the_nearest_change_into_the_phase():
    truth = np.repeat([0, 1, 2, 1], [20, 20, 20, 20])
    prediction = np.repeat([0, 1, 0, 1], [26, 10, 20, 24])
    # Into 1 at 20 (predicted at 26), into 2 never, into 1 at 60 (predicted at 56).
    np.testing.assert_array_equal(boundary_errors(truth, prediction, 2.0), [3, np.inf, 2])
    found = boundary_figures([boundary_errors(truth, prediction, 2.0)], np.ones((1, 1)))
    assert found["boundary.median_s"][0] == 3 and found["boundary.missed"][0] == pytest.approx(
        1 / 3
    )
    assert found["boundary.within_5_s"][0] == pytest.approx(2 / 3)
    rows = boundaries_by_phase([(truth, prediction)], ["a", "b", "c"], 2.0)
    found = [(row.name, row.count, row.figures["median_s"]) for row in rows]
    assert found == [("b", 2, 2.5), ("c", 1, None)]


def test_the_median_of_repeated_videos_is_that_of_numpy():
    videos = [GENERATOR.integers(0, 50, n).astype(float) for n in (3, 1, 4, 0)]
    for draw in draw_videos(4, 30):
        every = [x for x, n in zip(videos, draw, strict=True) for _ in range(int(n))]
        values = np.concatenate(every)
        found = boundary_figures(videos, draw[None])["boundary.median_s"][0]
        np.testing.assert_equal(found, np.median(values) if len(values) else np.nan)


def test_over_segmentation_counts_runs():
    assert over_segmentation(np.repeat([0, 1], 5), np.array([0, 1] * 5)) == 5


def slow_calibration_error(truth, probabilities):
    """Guo et al., equation 3, bin by bin."""
    confidence, total = probabilities.max(axis=1), 0.0
    right = probabilities.argmax(axis=1) == truth
    for i in range(BINS):
        there = (confidence > i / BINS) & (confidence <= (i + 1) / BINS)
        if there.any():
            gap = abs(right[there].mean() - confidence[there].mean())
            total += there.mean() * gap
    return total


def test_calibration_error_agrees_with_the_papers_formula():
    videos = [video(noise=0.4) for _ in range(3)]
    truth = np.concatenate([v.truth for v in videos])
    probabilities = np.concatenate([v.probabilities for v in videos])
    bins = stack([reliability(v.truth, v.probabilities) for v in videos])
    found = calibration_error(bins, every_video_once(3))[0]
    assert found == pytest.approx(slow_calibration_error(truth, probabilities))
    sure = np.eye(3)[[0, 1, 2, 0]]
    perfect = stack([reliability(np.array([0, 1, 2, 0]), sure)])
    assert calibration_error(perfect, every_video_once(1))[0] == 0


def test_macro_auc_is_that_of_scikit_learn_and_absent_phases_are_left_out():
    one = video()
    found = ranking_figures(PooledFrames(CHOLEC80, one.truth, one.probabilities))
    there = np.unique(one.truth)
    expected = [roc_auc_score(one.truth == c, one.probabilities[:, c]) for c in there]
    assert found["calibration.roc_auc.macro"] == pytest.approx(np.mean(expected))
    one_hot = one.truth[:, None] == np.arange(7)
    flat = one_hot.ravel(), one.probabilities.ravel()
    assert found["calibration.roc_auc.micro"] == pytest.approx(roc_auc_score(*flat))
    micro = average_precision_score(*flat)
    assert found["calibration.average_precision.micro"] == pytest.approx(micro)
    for c, name in enumerate(CHOLEC80):
        assert np.isnan(found[f"phase.{name}.roc_auc"]) == (c not in there)
    zeros = np.zeros(4, dtype=np.int64)
    alone = ranking_figures(PooledFrames(["only"], zeros, np.full((4, 1), 1.0)))
    assert all(np.isnan(value) for value in alone.values())


def test_ranking_in_draws_is_that_of_scikit_learn():
    positive = GENERATOR.random(40) < 0.4
    score = np.round(GENERATOR.random(40), 1)  # with ties
    draws = draw_videos(40, 25)
    auc, precision = ranking_in_draws(positive, score, draws)
    for i, draw in enumerate(draws):
        assert auc[i] == pytest.approx(roc_auc_score(positive, score, sample_weight=draw))
        expected = average_precision_score(positive, score, sample_weight=draw)
        assert precision[i] == pytest.approx(expected)
    always = ranking_in_draws(np.ones(4, dtype=bool), np.arange(4.0), draw_videos(4, 2))
    assert np.isnan(always[0]).all()


@pytest.mark.parametrize("digits", [1, 2, 6])
def test_roc_curves_are_those_of_scikit_learn(digits):
    for length in (2, 3, 40):
        truth = np.arange(length) % 3
        probabilities = np.round(GENERATOR.dirichlet(np.ones(3), length), digits)  # with ties
        expected = roc_curve(truth == 1, probabilities[:, 1])[:2]
        np.testing.assert_allclose(roc_points(truth, probabilities, 1), expected)
    assert roc_points(np.zeros(3, dtype=np.int64), np.ones((3, 2)), 1) is None


@pytest.mark.parametrize("classes", [2, 3])
def test_video_labels_are_scored_as_scikit_learn_does(classes):
    names = ["novice", "expert", "master"][:classes]
    truth = np.r_[np.arange(classes), GENERATOR.integers(0, classes, 60)]
    probabilities = GENERATOR.dirichlet(np.ones(classes), len(truth))
    prediction = probabilities.argmax(axis=1)
    surgeons = [f"s{i % 4}" for i in range(len(truth))]
    found = summarise_videos(truth, prediction, probabilities, names, surgeons, 300)
    assert found["balanced_accuracy"]["value"] == pytest.approx(
        balanced_accuracy_score(truth, prediction), abs=1e-6
    )
    assert found["f1"]["value"] == pytest.approx(
        f1_score(truth, prediction, average="macro"), abs=1e-6
    )
    scores = probabilities[:, 1] if classes == 2 else probabilities
    expected = roc_auc_score(truth, scores, multi_class="ovr")
    assert found["roc_auc"]["value"] == pytest.approx(expected, abs=1e-6)
    assert found["roc_auc"]["ci_low"] < expected < found["roc_auc"]["ci_high"]
    assert ("f1_positive" in found) == (classes == 2)
    by_hand = [np.mean((truth == prediction)[i::4]) for i in range(4)]
    assert found["surgeons"]["accuracy"]["mean"] == pytest.approx(np.mean(by_hand), abs=1e-6)
    assert sum(n for row in found["confusion"].values() for n in row.values()) == len(truth)


def test_leaving_a_surgeon_out_leaves_none_of_her_videos_in_training():
    surgeons = ["b", "a", "b", "c"]
    folds = leave_one_surgeon_out(surgeons)
    assert [(name, places.tolist()) for name, places in folds] == [
        ("a", [1]),
        ("b", [0, 2]),
        ("c", [3]),
    ]
    with pytest.raises(ValueError, match="one surgeon alone"):
        leave_one_surgeon_out(["a", "a"])


def test_lengths_that_differ_are_refused():
    with pytest.raises(ValueError, match=r"lengths \[2, 3\]"):
        ScoredVideo(np.zeros(2, dtype=np.int64), np.zeros(3, dtype=np.int64))
    with pytest.raises(ValueError, match="2 true labels, 3 predicted"):
        confusion(np.zeros(2, dtype=np.int64), np.zeros(3, dtype=np.int64), 1)


@pytest.mark.parametrize("fill", ["one frame", "one phase", "no transition", "nothing labelled"])
def test_small_videos_give_numbers_or_nothing_but_no_warning(fill):
    length = 1 if fill == "one frame" else 30
    truth = np.full(length, -1 if fill == "nothing labelled" else 2)
    videos = {"a": ScoredVideo(truth, np.zeros_like(truth), np.eye(7)[np.zeros_like(truth)])}
    videos["b"] = videos["a"]
    found = summarise(videos, CHOLEC80, 1.0, 10, 100)
    assert found["frames"] == (0 if fill == "nothing labelled" else 2 * length)
    if found["frames"]:
        assert found["boundary"]["median_s"] is None
        assert found["frame"]["accuracy"]["mean"] == 0
        assert found["calibration"]["ece"] == 1
