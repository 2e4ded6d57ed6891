import numpy as np
import pytest
from tiny_models import make_models
from videos import numbered_image

from pipeline import Predictor
from pipeline.errors import PipelineError


@pytest.fixture
def predictor(workplace):
    make_models()
    with Predictor(device="cpu", threads=1) as found:
        yield found


def image(number):
    return numbered_image(number)


def test_an_image_counts_from_when_it_is_shown_until_the_next_one(predictor):
    sparse = [predictor.frame(image(1), 10.0), predictor.frame(image(900), 12.5)]
    predictor.restart()
    dense = [predictor.frame(image(n), t) for n, t in ((1, 0), (1, 1), (1, 2), (900, 2.5))]
    assert sparse[-1].time_s == 12.0
    assert dense[-1].time_s == 2.0
    np.testing.assert_allclose(sparse[-1].probabilities, dense[-1].probabilities, atol=1e-6)
    assert dense[-1] is dense[-2]  # between two samples nothing is computed


def test_a_gap_is_the_last_image_repeated(predictor):
    predictor.frame(image(1), 0.0)
    after = predictor.frame(image(2), 5.0)
    predictor.restart()
    for second in range(5):
        predictor.frame(image(1), float(second))
    np.testing.assert_allclose(
        predictor.frame(image(2), 5.0).probabilities, after.probabilities, atol=1e-6
    )


def test_what_went_before_counts_until_a_restart(predictor):
    alone = predictor.frame(image(3), 0.0)
    predictor.restart()
    predictor.frame(image(900), 0.0)
    behind = predictor.frame(image(3), 1.0)
    predictor.restart()
    again = predictor.frame(image(3), 0.0)
    assert np.abs(alone.probabilities - behind.probabilities).max() > 1e-4
    np.testing.assert_array_equal(alone.probabilities, again.probabilities)


def test_time_that_does_not_rise_and_other_shapes_are_refused(predictor):
    predictor.frame(image(3), 1.0)
    with pytest.raises(ValueError, match="does not follow"):
        predictor.frame(image(3), 1.0)
    with pytest.raises(ValueError, match=r"expected \(H, W, 3\) uint8"):
        predictor.frame(image(3)[..., 0], 2.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"model": {"hidden": 8, "layers": 1, "bidirectional": True}, "causal": False},
            "looks into the future",
        ),
        (
            {"frames": {"fps": 1, "short_side": 32, "crop_borders": True}},
            "crop_borders: true, which finds the view in the whole video",
        ),
    ],
)
def test_models_that_need_the_whole_video_cannot_run_live(changes, message, workplace):
    make_models(**changes)
    with Predictor(device="cpu", threads=1) as predictor, pytest.raises(PipelineError) as error:
        predictor.frame(image(0), 0.0)
    assert message in str(error.value)
