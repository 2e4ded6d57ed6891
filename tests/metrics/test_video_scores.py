"""Spearman's rho and weighted kappa against SciPy and scikit-learn, value and bootstrap alike."""

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import cohen_kappa_score

from pipeline.metrics.bootstrap import draw_videos, every_video_once
from pipeline.metrics.video_level import summarise_videos
from pipeline.metrics.video_scores import quadratic_kappa, spearman_in_draws, summarise_scores


@pytest.fixture
def scores():
    generator = np.random.default_rng(3)
    truth = generator.integers(0, 6, 25).astype(float)  # with ties
    return truth, np.round(truth + generator.normal(0, 2, 25))


def test_the_rank_correlation_is_that_of_the_videos_drawn(scores):
    truth, prediction = scores
    once = spearman_in_draws(truth, prediction, every_video_once(25))
    assert once == pytest.approx(spearmanr(truth, prediction).statistic)
    draws = draw_videos(25, 20)
    found = spearman_in_draws(truth, prediction, draws)
    for row, value in zip(draws.astype(int), found, strict=True):
        expected = spearmanr(np.repeat(truth, row), np.repeat(prediction, row)).statistic
        assert value == pytest.approx(expected)


def test_without_any_order_there_is_no_rank_correlation(scores):
    assert np.isnan(spearman_in_draws(np.ones(25), scores[1], every_video_once(25))).all()


def test_kappa_agrees_with_scikit_learn():
    generator = np.random.default_rng(0)
    truth = generator.integers(0, 4, 40)
    prediction = np.clip(truth + generator.integers(-1, 3, 40), 0, 3)
    matrix = np.zeros((4, 4))
    np.add.at(matrix, (truth, prediction), 1)
    expected = cohen_kappa_score(truth, prediction, weights="quadratic")
    assert quadratic_kappa(matrix) == pytest.approx(expected)


def test_ordered_classes_are_scored_by_their_expected_class():
    truth = np.array([0, 0, 1, 2, 2])
    chances = np.array([[0.9, 0.1, 0], [0.6, 0.3, 0.1], [0.2, 0.6, 0.2], [0, 0.4, 0.6], [0, 0, 1]])
    found = summarise_videos(truth, chances.argmax(axis=1), chances, "abc", None, 50, True)
    expected = spearmanr(truth, chances @ np.arange(3)).statistic
    assert found["spearman"]["value"] == pytest.approx(expected, abs=1e-6)
    assert found["kappa"]["value"] == 1 and found["accuracy"]["value"] == 1
    assert "spearman" not in summarise_videos(truth, truth, chances, "abc", None, 0)


def test_errors_of_scores_are_in_their_own_unit():
    found = summarise_scores(np.array([1.0, 2.0, 3.0]), np.array([2.0, 2.0, 1.0]), 20)
    assert found["mae"]["value"] == 1
    assert found["rmse"]["value"] == pytest.approx(np.sqrt(5 / 3), abs=1e-6)
    assert found["videos"] == 3 and found["mae"]["ci_low"] >= 0
