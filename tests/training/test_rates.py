"""The rates of a training against torch's own schedulers."""

import math

import pytest
import torch
from torch.optim import lr_scheduler

from pipeline.training.rates import Rates

LR, EPOCHS = 0.03, 24


def rates(kind, losses=(None,) * EPOCHS, warmup=0, factor=0.5, patience=3):
    made, found = Rates(kind, LR, EPOCHS, warmup, factor, patience), []
    for loss in losses:
        found.append(made.now)
        made.advance(loss)
    return found


def torchs(make, epochs):
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=LR)
    scheduler, found = make(optimizer), []
    for _ in range(epochs):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


SCHEDULERS = {
    "constant": lambda o, epochs: lr_scheduler.ConstantLR(o, factor=1.0),
    "cosine": lambda o, epochs: lr_scheduler.CosineAnnealingLR(o, epochs),
    "cosine_restarts": lambda o, epochs: lr_scheduler.CosineAnnealingWarmRestarts(o, 10, 2),
    "one_cycle": lambda o, epochs: lr_scheduler.OneCycleLR(
        o, LR, total_steps=epochs, cycle_momentum=False
    ),
}


@pytest.mark.parametrize("kind", SCHEDULERS)
def test_without_warmup_the_rates_are_torchs(kind):
    expected = torchs(lambda o: SCHEDULERS[kind](o, EPOCHS), EPOCHS)
    assert rates(kind) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("kind", ["constant", "cosine", "cosine_restarts"])
def test_a_warmup_rises_in_equal_steps_to_the_schedule_that_begins_after_it(kind):
    found = rates(kind, warmup=4)
    assert found[:4] == pytest.approx([LR * n / 5 for n in (1, 2, 3, 4)])
    expected = torchs(lambda o: SCHEDULERS[kind](o, EPOCHS - 4), EPOCHS - 4)
    assert found[4:] == pytest.approx(expected, rel=1e-9)
    assert found[4] == LR


def test_one_cycle_rises_to_the_rate_and_falls_to_nearly_nothing():
    found = rates("one_cycle")
    top = found.index(max(found))
    assert found[0] == pytest.approx(LR / 25)
    assert found[:top] == sorted(found[:top])
    assert found[top:] == sorted(found[top:], reverse=True)
    assert max(found) > 0.99 * LR
    assert found[-1] < LR / 1e5
    assert all(math.isfinite(rate) for epochs in (4, 5, 10) for rate in rates_of(epochs))


def rates_of(epochs):
    made = Rates("one_cycle", LR, epochs, 0, 0.5, 3)
    for _ in range(epochs):
        yield made.now
        made.advance(None)


def test_a_plateau_does_not_count_the_epochs_of_the_warmup():
    losses = [0.1] * 3 + [1.0] * 7  # the warm-up's would be the lowest for ever
    found = rates("plateau", losses, warmup=3, factor=0.1, patience=2)
    assert found[3:] == pytest.approx([LR] * 4 + [LR / 10] * 3)
    lower = rates("plateau", [0.1] * 3 + [1 - 0.01 * n for n in range(9)], warmup=3, patience=2)
    assert lower[3:] == [LR] * 9
