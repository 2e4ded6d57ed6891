import numpy as np
import pytest
import torch

from pipeline.postprocess.calibration import (
    HIGHEST,
    LOWEST,
    fit_temperature,
    negative_log_likelihood,
)


def frames(scale, seed=0, count=4000):
    """Logits whose softmax the labels are drawn from, multiplied by a scale."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 2, (count, 5))
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    truth = np.array([random.choice(5, p=row) for row in shares])
    return logits * scale, truth


@pytest.mark.parametrize("scale", [0.3, 1.0, 4.0])
def test_the_scale_of_overconfident_logits_is_found_again(scale):
    logits, truth = frames(scale)
    found = fit_temperature(logits, truth)
    assert found == pytest.approx(scale, rel=0.1)
    assert fit_temperature(logits, truth) == found


def test_no_other_temperature_has_a_lower_likelihood_by_torchs_reckoning():
    logits, truth = frames(2.5, seed=1, count=200)
    found = fit_temperature(logits, truth)

    def loss(temperature):
        scaled = torch.from_numpy(logits) / temperature
        return torch.nn.functional.cross_entropy(scaled, torch.from_numpy(truth)).item()

    assert loss(found) == pytest.approx(negative_log_likelihood(logits / found, truth))
    assert all(loss(found) <= loss(other) for other in np.geomspace(LOWEST, HIGHEST, 200))
    assert loss(found) < loss(1.0)


def test_frames_that_are_all_right_or_all_wrong_keep_the_temperature_within_bounds():
    logits = np.eye(3)[[0, 1, 2, 1]] * 5.0
    # Far below 1 the likelihood is 1 to the last digit, and all temperatures are as good.
    assert LOWEST <= fit_temperature(logits, np.array([0, 1, 2, 1])) < 0.2
    assert fit_temperature(logits, np.array([1, 2, 0, 0])) == pytest.approx(HIGHEST, rel=1e-3)
