import sys
from pathlib import Path

import pytest
import torch
import yaml
from features_project import make_project

from pipeline.all_params import check_params
from pipeline.backbone import stage
from pipeline.backbone.classifier import FrameClassifier
from pipeline.backbone.params import BackboneParams
from pipeline.backbone.preconditions import check_backbone, check_features_crop
from pipeline.errors import PipelineError
from pipeline.features import stage as features_stage
from pipeline.networks.backbones import build_backbone


def check(**values):
    check_backbone(BackboneParams(**values))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet5o", r"backbone\.name: found 'resnet5o'. Did you mean resnet50"),
        ("convnext_tinny", r"Did you mean convnext_tiny"),
        ("timm/convnextv2_ato", r"backbone\.name: found timm/.*Did you mean timm/convnextv2_atto"),
    ],
)
def test_an_unknown_name_offers_the_nearest(name, message):
    with pytest.raises(PipelineError, match=message):
        check(name=name)


def test_a_frozen_backbone_that_needs_what_is_not_installed_is_told_before_anything_runs(
    monkeypatch,
):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(PipelineError, match=r"pip install 'surgical-phase-pipeline\[timm\]'"):
        check(name="timm/resnet18")


@pytest.mark.parametrize(
    ("name", "crop", "allowed"),
    [
        ("vit_b_16", 225, "224, 240"),
        ("timm/vit_small_patch14_dinov2", 224 + 1, "224, 238, 518"),
        ("timm/swin_tiny_patch4_window7_224", 256, "224;"),
    ],
)
def test_a_crop_that_a_transformer_cannot_take_names_those_that_it_can(name, crop, allowed):
    with pytest.raises(PipelineError, match=rf"backbone\.crop: found {crop}, but.*{allowed}"):
        check(name=name, crop=crop)
    with pytest.raises(PipelineError, match=rf"features\.crop: found {crop}, but.*{allowed}"):
        check_features_crop(BackboneParams(name=name), crop)


def test_sizes_whose_positions_can_be_interpolated_are_allowed():
    check(name="vit_b_16", crop=240)
    check(name="timm/vit_small_patch14_dinov2", crop=224)
    check(name="resnet50", crop=225)
    check_features_crop(BackboneParams(name="vit_b_16"), None)


def test_the_crop_of_features_is_checked_with_the_parameters(tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    params = yaml.safe_load((Path(__file__).parents[2] / "params.yaml").read_text())
    params["backbone"]["name"] = "vit_b_16"
    for crop, fine in ((224, True), (225, False)):
        params["features"]["crop"] = crop
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
        if fine:
            check_params(tmp_path / "params.yaml")
        else:
            with pytest.raises(PipelineError, match=r"features\.crop: found 225, but vit_b_16"):
                check_params(tmp_path / "params.yaml")


def test_the_features_stage_refuses_a_crop_before_it_opens_a_frame(workplace):
    make_project(workplace)
    text = (
        (workplace / "params.yaml").read_text().replace("resnet18", "timm/eva02_tiny_patch14_224")
    )
    (workplace / "params.yaml").write_text(text)

    stage.run()
    with pytest.raises(PipelineError, match=r"features\.crop: found 64, but timm/eva02.*56, 70"):
        features_stage.run()


def test_released_weights_of_another_architecture_are_refused_before_they_are_fetched():
    with pytest.raises(PipelineError, match=r"endovit belongs to.*timm/vit_base_patch16_224"):
        check(name="resnet50", weights="endovit:/nowhere/file.pth")


@pytest.mark.parametrize("name", ["timm/eva02_tiny_patch14_224", "timm/convnextv2_atto", "swin_t"])
def test_blocks_learn_with_their_activations_computed_again(name):
    torch.manual_seed(0)
    backbone = build_backbone(name)
    pixels = torch.randint(0, 256, (2, 3, 56, 56), dtype=torch.uint8)
    gradients = []
    for checkpointing in (False, True):
        torch.manual_seed(1)
        network = FrameClassifier(backbone, backbone.transform, 3, 0, "linear", checkpointing)
        torch.manual_seed(2)  # some drop whole layers at random while they train
        network.train()(pixels)[0].square().sum().backward()
        gradients.append([p.grad.clone() for p in network.parameters()])
        network.zero_grad()
    for plain, again in zip(*gradients, strict=True):
        torch.testing.assert_close(again, plain, rtol=1e-4, atol=1e-5)
