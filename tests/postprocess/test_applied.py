"""From logits and a header to phases, whole and frame by frame."""

import numpy as np
import pytest
import torch

from pipeline.errors import PipelineError
from pipeline.metrics.segment import over_segmentation
from pipeline.postprocess.applied import looks_ahead, processed, step
from pipeline.postprocess.fit import SECONDS, fit
from pipeline.postprocess.params import PostprocessParams

ALL = [
    PostprocessParams(kind=kind, online=online, temperature=True)
    for kind, online in [
        *(("median", False), ("median", True), ("min_duration", False)),
        *(("viterbi", False), ("viterbi", True)),
    ]
]
ONLINE = [PostprocessParams(temperature=True), *(params for params in ALL if params.online)]


def video(seed, length=240, classes=4):
    """Phases in order, and overconfident logits in which a tenth of the frames flips."""
    random = np.random.default_rng(seed)
    truth = np.sort(random.integers(0, classes, length))
    said = np.where(random.random(length) < 0.15, random.integers(0, classes, length), truth)
    logits = 6 * np.eye(classes)[said] + random.normal(0, 1, (length, classes))
    return torch.tensor(logits, dtype=torch.float32), truth


def header_of(params, fps=1.0):
    logits, truth = zip(*(video(seed) for seed in range(3)), strict=True)
    training = [video(seed)[1] for seed in range(10, 16)]
    return fit(params, logits, truth, training, 4, fps)


def named(params):
    return f"{params.kind}-{'online' if params.online else 'offline'}"


def test_a_header_without_it_gives_softmax_and_the_likeliest_class():
    logits, _ = video(0)
    probabilities, prediction = processed(logits, {"kind": "rnn"})
    assert torch.equal(torch.from_numpy(probabilities), logits.softmax(dim=1))
    assert torch.equal(torch.from_numpy(prediction), logits.argmax(dim=1))
    assert header_of(PostprocessParams(online=True, seconds=3.0)) == {}


@pytest.mark.parametrize("params", ALL, ids=named)
def test_planted_flips_are_mended_in_a_video_that_nothing_was_fitted_to(params):
    header = header_of(params)
    logits, truth = video(99)
    probabilities, prediction = processed(logits, header)
    raw = logits.argmax(dim=1).numpy()
    assert (prediction == truth).mean() > (raw == truth).mean() + 0.05
    assert over_segmentation(truth, prediction) < 0.5 * over_segmentation(truth, raw)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert looks_ahead(header) != params.online


@pytest.mark.parametrize("params", ALL, ids=named)
def test_the_probabilities_are_those_of_the_calibrated_network(params):
    header = header_of(params)
    logits, _ = video(99)
    probabilities, _ = processed(logits, header)
    calibrated = (logits / header["temperature"]).softmax(dim=1).numpy()
    assert header["temperature"] > 1.5
    assert (calibrated.argmax(axis=1) == logits.argmax(dim=1).numpy()).all()
    np.testing.assert_array_equal(probabilities, calibrated)


@pytest.mark.parametrize("params", ONLINE, ids=named)
def test_online_is_the_same_frame_by_frame_and_does_not_see_what_follows(params):
    header = header_of(params)
    logits, _ = video(99)
    whole = processed(logits, header)
    prefix = processed(logits[:100], header)
    np.testing.assert_allclose(prefix[0], whole[0][:100], atol=1e-12)
    np.testing.assert_array_equal(prefix[1], whole[1][:100])
    state = None
    for t, row in enumerate(logits):
        probabilities, phase, state = step(row, header, state)
        np.testing.assert_allclose(probabilities, whole[0][t], atol=1e-6)
        assert phase == whole[1][t]


@pytest.mark.parametrize("params", [p for p in ALL if not p.online], ids=named)
def test_what_needs_the_whole_video_is_refused_live(params):
    with pytest.raises(PipelineError, match=rf"{params.kind} with online: false, needs the whole"):
        step(video(0)[0][0], header_of(params))


@pytest.mark.parametrize("params", ALL, ids=named)
def test_the_chosen_duration_has_the_best_validation_value_and_a_given_one_is_kept(params):
    chosen = header_of(params)["postprocess"]
    tried = dict(chosen["tried"])
    # One frame is what the network says by itself.
    assert params.kind == "viterbi" or tried[0] == chosen["untouched"]
    assert tuple(tried) == SECONDS
    assert tried[chosen["seconds"]] == max(tried.values())
    given = header_of(params.model_copy(update={"seconds": 7.0}))["postprocess"]
    assert given["seconds"] == 7.0 and "tried" not in given
    if params.kind == "viterbi":
        assert max(given["prior"]["least"]) == 7
    else:
        assert given["frames"] == 7


@pytest.mark.parametrize("params", ALL, ids=named)
def test_videos_of_one_frame_and_of_none_are_fine(params):
    header = header_of(params.model_copy(update={"seconds": 5.0}))
    logits, _ = video(0)
    for length in (0, 1, 2):
        probabilities, prediction = processed(logits[:length], header)
        assert probabilities.shape == (length, 4) and prediction.shape == (length,)


def test_unlabelled_validation_frames_decide_nothing():
    logits, truth = video(0)
    known = np.arange(len(truth)) < 150
    masked = np.where(known, truth, -1)
    other = logits.clone()
    other[~torch.from_numpy(known)] = torch.randn(90, 4) * 9
    params = PostprocessParams(temperature=True)
    assert fit(params, [logits], [masked], [truth], 4, 1.0) == fit(
        params, [other], [masked], [truth], 4, 1.0
    )
