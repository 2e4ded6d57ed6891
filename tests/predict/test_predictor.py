"""A video's prediction by the models alone is that of the evaluate stage."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import real_project
import torch
from real_project import make_project

from pipeline import Predictor, paths
from pipeline.clips import Clips
from pipeline.errors import PipelineError
from pipeline.evaluate.predict import load_model, predict
from pipeline.feature_store import read_features
from pipeline.frames.decode import has_decord
from pipeline.sequences import read_split


@pytest.fixture
def videos(shared_data):
    return shared_data / "cholec80-mini/videos"


def by_stage():
    """The test video, as the evaluate stage predicts it."""
    (sequence,) = read_split("test")
    network, header = load_model(paths.TEMPORAL, torch.device("cpu"))
    return sequence, predict(network, header, sequence, torch.device("cpu"))


SETTINGS = {
    "images, float16": {},
    "clips, bf16, mirrored, offline": {
        "frames": {"fps": 0.25},
        "backbone": {"name": "r3d_18", "clip": {"frames": 4, "stride_s": 1}},
        "features": {"precision": "bf16", "tta": "flip", "crop": 32},
        "model": {"bidirectional": True},
    },
    "two side by side, float32, borders cut off": {
        "frames": {"crop_borders": True, "fps": "1/3"},
        "backbone": {"name": ["resnet18", "shufflenet_v2_x0_5"]},
        "features": {"dtype": "float32"},
    },
}


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
    assert len(np.unique(found.probabilities[:, 0])) > 10  # not a constant one


@pytest.fixture(scope="module")
def live_project(tmp_path_factory):
    return tmp_path_factory.mktemp("live")


def native(path):
    """The frames of a video as a camera gives them, with their times."""
    import av

    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            yield frame.to_ndarray(format="rgb24"), float(frame.pts * frame.time_base)


@pytest.mark.parametrize(
    "backbone",
    [
        {},
        {"name": "r3d_18", "clip": {"frames": 3, "stride_s": 2}},
    ],
)
def test_image_by_image_is_as_the_whole_video(backbone, videos, workplace):
    if not has_decord():
        pytest.skip("decord, whose frames are those that a camera would give, is not installed")
    make_project(videos, frames={"decoder": "decord"}, backbone=backbone)
    import decord

    with Predictor(device="cpu", threads=1) as predictor:
        whole = predictor.video(videos / "video02.mp4")
        reader = decord.VideoReader(str(videos / "video02.mp4"))
        live = {}
        # Every 24th frame: none of them but the first lies at a sample, so that each sample shows
        # the image before it.
        for number in range(0, len(reader), 24):
            found = predictor.frame(reader[number].asnumpy(), 100 + number / 25)
            live[round(found.time_s - 100, 6)] = found
    assert sorted(live) == [4.0 * k for k in range(len(live))]
    # Frame by frame at 25 per second would give the very frames; every 24th gives neighbours.
    assert len(live) >= len(whole) - 1
