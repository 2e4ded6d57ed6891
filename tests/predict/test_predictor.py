"""A video's prediction by the models alone is that of the evaluate stage."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
from contributed import toy_clip_backbone
from real_project import make_project
from tiny_models import make_models

from pipeline import Predictor, paths
from pipeline.evaluate.predict import load_model, predict
from pipeline.frames.decode import has_decord
from pipeline.networks.backbones import CLIP_FAMILIES
from pipeline.sequences import read_split

SETTINGS = {
    "images": {},
    "two networks, bf16, mirrored, borders cut off, offline": {
        "frames": {"crop_borders": True, "fps": "1/16"},
        "backbone": {"name": ["resnet18", "shufflenet_v2_x0_5"]},
        "features": {"precision": "bf16", "dtype": "float32", "tta": "flip", "crop": 32},
        "model": {"bidirectional": True},
    },
    "clips": {
        "frames": {"fps": "1/16"},
        "backbone": {"name": "r3d_18", "clip": {"frames": 2, "stride_s": "16/3"}},
        "features": {"crop": 32},
    },
}


@pytest.fixture
def videos(shared_data):
    return shared_data / "cholec80-mini/videos"


def by_stage():
    """The test video, as the evaluate stage predicts it."""
    (sequence,) = read_split("test")
    network, header = load_model(paths.TEMPORAL, torch.device("cpu"))
    return sequence, predict(network, header, sequence, torch.device("cpu"))


@pytest.mark.parametrize("name", SETTINGS)
def test_a_prediction_is_that_of_the_evaluate_stage_to_the_last_bit(name, videos, workplace):
    make_project(videos, **SETTINGS[name])
    sequence, expected = by_stage()
    Path("params.yaml").unlink()
    with Predictor(device="cpu", threads=1) as predictor:
        found = predictor.video(videos / "video02.mp4")
    np.testing.assert_array_equal(found.time_s, sequence.time_s)
    np.testing.assert_array_equal(found.probabilities, expected.probabilities)
    np.testing.assert_array_equal(found.classified, expected.prediction)
    assert len(np.unique(found.probabilities[:, 0])) > 5  # not a constant one


@pytest.mark.parametrize("clip", [None, {"frames": 3, "stride_s": 2}])
def test_image_by_image_is_as_the_whole_video(clip, videos, workplace, monkeypatch):
    if not has_decord():
        pytest.skip("decord, which gives frames as a camera does, is not installed")
    import decord

    frames = {"fps": "1/4", "short_side": 64, "decoder": "decord"}
    # Without the rounding to float16, which may fall to the other side by a last bit.
    more = {"frames": frames, "features": {"dtype": "float32", "crop": 32}, "fps": 0.25}
    if clip is None:
        make_models(**more)
    else:
        monkeypatch.setitem(CLIP_FAMILIES, "toy_clip", toy_clip_backbone)
        make_models(name="toy_clip@3", backbone={"clip": clip}, **more)
    path = videos / "video02.mp4"
    with Predictor(device="cpu", threads=1) as predictor:
        whole = predictor.video(path)
        reader = decord.VideoReader(str(path))
        # Every 2 s, which is where the frames of clips are stored. Every second image comes early
        # and is still shown when its moment comes; the one behind it is taken for none.
        found = []
        for number in range(len(reader) // 50 + 1):
            image, at_s = reader[50 * number].asnumpy(), 2.0 * number
            found.append(predictor.frame(image, at_s - (0.5 if number % 2 else 0)))
            found.append(predictor.frame(255 - image, at_s + 0.5))
    live = {round(p.time_s, 6): p.probabilities for p in found}
    expected = dict(zip(whole.time_s.round(6).tolist(), whole.probabilities, strict=True))
    assert live.keys() == expected.keys()
    for time_s, probabilities in live.items():
        np.testing.assert_allclose(probabilities, expected[time_s], atol=1e-4)
    assert np.ptp(whole.probabilities, axis=0).max() > 0.01
