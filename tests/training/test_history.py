from dataclasses import dataclass

import numpy as np
import pytest
from sklearn.metrics import f1_score

from pipeline.errors import PipelineError
from pipeline.training.history import Epoch, best_epoch, check_finite, is_finished, validated


def rows(*scores):
    return [Epoch(n, 0.1, 1.0, 1.0, f1, f1) for n, f1 in enumerate(scores, start=1)]


def test_of_equal_epochs_the_first_is_the_best():
    history = rows(0.5, 0.7, 0.7, 0.6)
    assert [best_epoch(history[:n]) for n in range(5)] == [0, 1, 2, 2, 2]


def test_without_validation_the_last_epoch_is_the_best():
    assert best_epoch([Epoch(1, 0.1, 1.0), Epoch(2, 0.1, 2.0)]) == 2


def test_a_training_ends_after_so_many_epochs_without_a_better_one():
    history = rows(0.5, 0.7, 0.7, 0.6)
    assert not is_finished(history[:3], epochs=9, early_stop=2)
    assert is_finished(history, epochs=9, early_stop=2)
    assert not is_finished(history, epochs=9, early_stop=0)
    assert is_finished(history, epochs=4, early_stop=0)
    assert not is_finished([], epochs=4, early_stop=1)


def test_scores_are_those_of_all_labelled_frames_and_a_row_keeps_what_it_has():
    @dataclass(frozen=True)
    class WithMore(Epoch):
        trained_children: int = 0

    truth, prediction = np.array([0, 0, 1, 1, 3]), np.array([0, 1, 1, 1, 0])
    row = validated(WithMore(1, 0.1, 2.0, trained_children=5), 0.12345678, truth, prediction)
    f1 = f1_score(truth, prediction, average="macro", zero_division=0)
    assert row == WithMore(1, 0.1, 2.0, 0.123457, 0.6, round(f1, 6), trained_children=5)


def test_a_loss_that_is_not_finite_stops_with_the_way_out():
    check_finite("train: the loss", 1.0, 3, "Lower train.lr.")
    check_finite("train: the validation loss", None, 3, "Lower train.lr.")
    for loss in (float("nan"), float("inf")):
        with pytest.raises(PipelineError, match=r"the loss of epoch 3 is (nan|inf)\. Lower"):
            check_finite("train: the loss", loss, 3, "Lower train.lr.")
