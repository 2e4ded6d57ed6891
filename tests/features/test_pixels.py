"""Grey images as features, against Pillow's conversion, and what has no weights."""

import cv2
import numpy as np
import pytest
import torch
from features_project import make_project, settings
from PIL import Image

from pipeline.backbone import stage as backbone_stage
from pipeline.backbone.params import BackboneParams
from pipeline.backbone.preconditions import check_backbone
from pipeline.checkpoint import load_checkpoint
from pipeline.errors import PipelineError
from pipeline.evaluate.facts import untrained
from pipeline.feature_store import read_features
from pipeline.features import stage
from pipeline.frame_store import FrameFile
from pipeline.networks.backbones import build_backbone
from pipeline.networks.backbones.transform import Transform
from pipeline.networks.cost import image_cost


@pytest.fixture
def project(workplace):
    """Frames of two videos and a pinned backbone without weights."""
    make_project(workplace)
    return workplace


def run(project, crop="null", **values):
    settings(project, dtype="float32", **values)
    text = (project / "params.yaml").read_text()
    text = text.replace("resnet18", "pixels").replace("crop: 64", f"crop: {crop}")
    (project / "params.yaml").write_text(text)
    backbone_stage.run()
    stage.run()
    return read_features(project / "features/videos/video1.h5")


@pytest.mark.parametrize(("crop", "side"), [("null", 64), (32, 32), (48, 48)])
def test_features_are_the_grey_image_row_by_row(project, crop, side):
    found = run(project, crop)
    assert found.attributes["crop"] == side
    images = found.features.reshape(-1, side, side)
    assert images.min() >= 0 and images.max() <= 1
    transform = Transform(side, side, "bilinear", (0, 0, 0), (1, 1, 1))
    with FrameFile(project / "data/frames/video1.h5") as frames:
        for sample, grey in enumerate(images):
            pixels = torch.from_numpy(frames.image(sample)).permute(2, 0, 1)
            shown = transform.prepare(pixels).permute(1, 2, 0).numpy()
            for theirs in (
                np.asarray(Image.fromarray(shown).convert("L")),
                cv2.cvtColor(shown, cv2.COLOR_RGB2GRAY),
            ):
                assert np.abs(255 * grey - theirs).max() <= 1  # they round


def test_the_short_side_is_seen_whole(project):
    """The frames are 75 pixels high: the first row of the image is the first row of the frame."""
    image = torch.zeros(3, 75, 100, dtype=torch.uint8)
    image[:, :10], image[:, -10:] = 100, 200
    shown = build_backbone("pixels").transform.prepare(image)
    assert shown[:, 0].eq(100).all() and shown[:, -1].eq(200).all()


def test_a_network_without_weights_costs_nothing_and_is_not_untrained(project):
    attributes = run(project).attributes
    assert attributes["backbone_parameters"] == attributes["backbone_flops_per_frame"] == 0
    assert image_cost(build_backbone("pixels").network, 64).parameters == 0
    tensors, header = load_checkpoint(project / "models/backbone.safetensors")
    assert tensors == {} and header["weights"] == "none" and header["dim"] == 64 * 64
    assert not untrained(header)


def test_bf16_keeps_the_grey_values_to_its_eight_bits(project):
    full, half = run(project), run(project, precision="bf16")
    assert 0 < np.abs(half.features - full.features).max() < 1 / 64


def test_int8_is_refused(project):
    with pytest.raises(PipelineError, match=r"found int8, but pixels cannot.*fp32, bf16"):
        run(project, precision="int8")


@pytest.mark.parametrize("mode", ["finetune", "adabn", "finetune_adabn"])
def test_there_is_nothing_to_train_or_adapt(mode):
    with pytest.raises(PipelineError, match=rf"found {mode}, but pixels has no weights.*frozen"):
        check_backbone(BackboneParams(name="pixels", mode=mode))


def test_published_weights_of_pixels_are_refused(project):
    text = (project / "params.yaml").read_text()
    text = text.replace("resnet18, weights: random", "pixels, weights: IMAGENET1K_V1")
    (project / "params.yaml").write_text(text)
    with pytest.raises(PipelineError, match=r"backbone\.weights: found 'IMAGENET1K_V1'.*random"):
        backbone_stage.run()
