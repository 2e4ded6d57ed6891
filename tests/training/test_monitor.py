import pytest

from pipeline.training import history
from pipeline.training.history import Epoch
from pipeline.training.monitor import best_epoch, is_finished

ROWS = [
    Epoch(n, 0.1, 1.0, loss, accuracy, f1)
    for n, (loss, accuracy, f1) in enumerate(
        [(0.9, 0.5, 0.4), (0.7, 0.6, 0.6), (0.7, 0.8, 0.6), (0.8, 0.8, 0.7)], start=1
    )
]


@pytest.mark.parametrize(("monitor", "best"), [("macro_f1", 4), ("accuracy", 3), ("loss", 2)])
def test_the_best_epoch_is_the_first_of_the_best_values(monitor, best):
    assert best_epoch(ROWS, monitor) == best
    assert is_finished(ROWS, epochs=9, early_stop=2, monitor=monitor) == (4 - best >= 2)
    assert is_finished(ROWS, epochs=4, early_stop=0, monitor=monitor)
    assert not is_finished(ROWS, epochs=5, early_stop=0, monitor=monitor)
    assert not is_finished([], epochs=5, early_stop=1, monitor=monitor)


@pytest.mark.parametrize("monitor", ["macro_f1", "accuracy", "loss"])
def test_without_validation_the_last_epoch_is_the_best(monitor):
    rows = [Epoch(n, 0.1, 1.0) for n in (1, 2, 3)]
    assert [best_epoch(rows[:n], monitor) for n in range(4)] == [0, 1, 2, 3]


def test_macro_f1_is_monitored_as_fine_tuning_does():
    for n in range(5):
        rows = ROWS[:n]
        assert best_epoch(rows, "macro_f1") == history.best_epoch(rows)
        for stop in (0, 1, 2):
            ours = is_finished(rows, 9, stop, "macro_f1")
            assert ours == history.is_finished(rows, 9, stop)
