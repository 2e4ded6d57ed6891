"""torch's schedulers against the formulas of their papers."""

import math

import pytest

from pipeline.training.schedules import advance, rate, schedule

LR, EPOCHS = 0.03, 75


def rates(kind, losses, **options):
    found, state = [], schedule(kind, LR, EPOCHS, **options)
    for loss in losses:
        found.append(rate(state))
        advance(state, loss)
    return found


def restarts(epoch):
    start, period = 1, 10
    while epoch >= start + period:
        start, period = start + period, period * 2
    return LR * (1 + math.cos(math.pi * (epoch - start) / period)) / 2


@pytest.mark.parametrize(
    ("kind", "formula"),
    [
        ("constant", lambda epoch: LR),
        ("cosine", lambda epoch: LR * (1 + math.cos(math.pi * (epoch - 1) / EPOCHS)) / 2),
        ("cosine_restarts", restarts),
    ],
)
def test_the_rate_of_each_epoch_is_that_of_the_formula(kind, formula):
    found = rates(kind, [None] * EPOCHS)
    assert found == pytest.approx([formula(n) for n in range(1, EPOCHS + 1)], rel=0, abs=1e-12)


def plateau(losses, factor, patience):
    value, lowest, waited = LR, math.inf, 0
    for loss in losses:
        yield value
        if loss is not None and loss < lowest:
            lowest, waited = loss, 0
            continue
        waited += 1
        if waited > patience:
            value, waited = value * factor, 0


@pytest.mark.parametrize(
    "losses",
    [
        [1.0, 0.9, 0.95, 0.96, 0.97, 0.98, 0.99, 0.8, 0.81, 0.82, 0.83, 0.84, 0.7, 0.7, 0.7, 0.7],
        [None] * 12,
        [1 - 1e-9 * n for n in range(12)],
        [1e-9] * 40,
    ],
)
def test_a_plateau_lowers_the_rate_once_patience_has_ended(losses):
    found = rates("plateau", losses, plateau_factor=0.5, plateau_patience=2)
    assert found == pytest.approx(list(plateau(losses, 0.5, 2)), rel=1e-12, abs=1e-12)
