"""Backbones of many families, with random weights, over frames of real surgery."""

import itertools
import json

import av
import cv2
import numpy as np
import pytest

from pipeline.backbone import stage as backbone_stage
from pipeline.feature_store import read_features
from pipeline.features import stage
from pipeline.frame_store import write_frames

# The smallest that are not in other tests, at a small crop. ViT and ConvNeXt are those of timm:
# torchvision's have up to 88 million weights, and networks/test_backbones.py tries them.
BACKBONES = {
    "efficientnet_b0": 64,
    "densenet121": 64,
    "regnet_y_400mf": 64,
    "mobilenet_v3_small": 64,
    "shufflenet_v2_x0_5": 64,
    "mnasnet0_5": 64,
    "swin_t": 64,
    "timm/eva02_tiny_patch14_224": 56,
    "timm/convnextv2_atto": 64,
}
# Frames of a clip. Without the transformers that are made for one size: a batch of them takes a
# minute on a small machine. Without r2plus1d_50, which as its authors initialise it sees every
# fourth frame only.
CLIP_BACKBONES = {"r3d_18": 2, "s3d": 5, "x3d_xs": 4, "slowfast_r50": 8}
_PARAMS = """\
seed: 1
backbone: {{name: {name}, weights: random, mode: frozen, clip: {clip}}}
features: {{precision: {precision}, dtype: float32, decoder: opencv, crop: {crop}}}
runtime: {{device: cpu, workers: 1, batch: 8, threads: 1, progress: lines}}
"""


def some_frames(video, count):
    with av.open(str(video)) as file:
        for sample, frame in enumerate(itertools.islice(file.decode(video=0), 0, 25 * count, 25)):
            image = cv2.resize(frame.to_ndarray(format="bgr24"), (171, 96))
            yield cv2.imencode(".jpg", image)[1].tobytes(), float(sample)


@pytest.fixture
def surgery(workplace, shared_data):
    for name, count in (("video01", 4), ("video02", 3)):
        attributes = {"fps": 1.0, "height": 96, "width": 171, "fingerprint": f"frames-of-{name}"}
        frames = some_frames(shared_data / f"cholec80-mini/videos/{name}.mp4", count)
        write_frames(workplace / f"data/frames/{name}.h5", frames, attributes)
    recipe = {"fps": "1", "short_side": 96, "crop_borders": False, "quality": 95}
    recipe |= {"decoder": "pyav", "on_error": "stop", "libraries": {"av": "1"}, "code": "0"}
    (workplace / "data/frames/recipe.json").write_text(json.dumps(recipe))
    (workplace / "data/frames/skipped.csv").write_text("video,reason\n")
    (workplace / "data/frames/masked.csv").write_text("video,lost,samples\n")
    (workplace / "data/index").mkdir()
    (workplace / "data/index/splits.csv").write_text("video,split\nvideo01,train\nvideo02,test\n")
    return workplace


@pytest.mark.parametrize(("name", "crop"), BACKBONES.items())
def test_frames_become_features_with_each_family(surgery, name, crop):
    if name.startswith("timm/"):
        pytest.importorskip("timm")
    computed(surgery, name, crop)


def test_frames_become_features_with_a_model_of_a_folder(surgery):
    transformers = pytest.importorskip("transformers")
    config = transformers.Dinov2Config(hidden_size=32, num_hidden_layers=2, num_attention_heads=2)
    config.save_pretrained(surgery / "models/tiny")
    transformers.BitImageProcessor(crop_size={"height": 56, "width": 56}).save_pretrained(
        surgery / "models/tiny"
    )
    computed(surgery, "hf/models/tiny", 56)


@pytest.mark.parametrize(("name", "length"), CLIP_BACKBONES.items())
def test_clips_become_features_with_each_family(surgery, name, length):
    clip = {"frames": length, "stride_s": 1, "position": "past"}
    path = surgery / "data/frames/recipe.json"
    recipe = json.loads(path.read_text()) | {"sample_fps": "1", "clip": clip}
    path.write_text(json.dumps(recipe))
    computed(surgery, name, 64, clip)


def computed(surgery, name, crop, clip=None):
    text = _PARAMS.format(name=name, crop=crop, precision="fp32", clip=json.dumps(clip))
    (surgery / "params.yaml").write_text(text)
    backbone_stage.run()
    assert "2 computed" in stage.run()
    for video, count in (("video01", 4), ("video02", 3)):
        found = read_features(surgery / f"features/videos/{video}.h5")
        assert (
            found.attributes["backbone"].partition("@")[0] == name
            and found.attributes["crop"] == crop
        )
        assert len(found.features) == count
        assert np.isfinite(found.features).all()
        # Frames differ, and so do their features.
        assert len(np.unique(found.features, axis=0)) == count
    assert "0 computed" in stage.run()
