"""What computes features anew and what does not, and what each file says of itself."""

import ast
import json
import shutil
import subprocess
import sys

import h5py
import pytest
import torch
from features_project import add_video, settings

from pipeline import code_identity
from pipeline.checkpoint import load_checkpoint, save_checkpoint
from pipeline.feature_store import read_features
from pipeline.features import identity, stage
from pipeline.features.identity import parts_of_all
from pipeline.features.params import FeaturesParams
from pipeline.networks.backbones import FAMILIES, build_backbone, resnet
from pipeline.networks.backbones.stretched import Stretched
from pipeline.networks.backbones.transform import Transform
from pipeline.networks.cost import image_cost
from pipeline.settings import read_section

WEIGHTS = "models/backbone.safetensors"
FRAMES = {
    "fps": 1,
    "short_side": 75,
    "crop_borders": False,
    "quality": 95,
    "decoder": "pyav",
    "on_error": "stop",
}


@pytest.fixture
def computed(project):
    assert "2 computed" in stage.run()
    return project


def repin(project, change_tensors=lambda tensors: None, **header):
    tensors, known = load_checkpoint(project / WEIGHTS)
    change_tensors(tensors)
    save_checkpoint(project / WEIGHTS, tensors, known | header)


def test_a_header_field_and_the_name_of_the_weights_file_compute_nothing(computed):
    repin(computed, weights="renamed.pth", note="reread", tensors_hash="forged")
    assert "0 computed" in stage.run()
    attributes = read_features(computed / "features/videos/video0.h5").attributes
    assert attributes["weights"] == "renamed.pth"


def test_a_changed_tensor_computes_all_features_whatever_the_header_says(computed):
    repin(computed, lambda tensors: tensors["conv1.weight"].mul_(1.01))
    assert "2 computed" in stage.run()


def test_a_crop_that_is_the_transforms_own_computes_nothing(computed):
    _, header = load_checkpoint(computed / WEIGHTS)
    cropped = header["transform"] | {"crop_px": 64, "resize_px": round(256 * 64 / 224)}
    repin(computed, transform=cropped)
    params = (computed / "params.yaml").read_text().replace("crop: 64", "crop: null")
    (computed / "params.yaml").write_text(params)
    assert "0 computed" in stage.run()


@pytest.mark.parametrize("key", ["mean", "interpolation", "channels"])
def test_another_transform_computes_all_features(computed, key):
    _, header = load_checkpoint(computed / WEIGHTS)
    other = {"mean": [0.5, 0.5, 0.5], "interpolation": "bicubic", "channels": "bgr"}[key]
    repin(computed, transform=header["transform"] | {key: other})
    assert "2 computed" in stage.run()


def test_a_renamed_video_keeps_its_features(computed):
    frames = computed / "data/frames"
    shutil.move(frames / "video1.h5", frames / "operation1.h5")
    assert "0 computed" in stage.run()
    path = computed / "features/videos/operation1.h5"
    assert read_features(path).attributes["video"] == "operation1"


def test_the_store_holds_no_names(computed):
    for path in (computed / ".store/features").glob("*.h5"):
        with h5py.File(path) as file:
            assert not {"video", "weights", "recipe"} & set(file.attrs)


def test_a_family_that_is_added_changes_no_fingerprint(computed, monkeypatch):
    monkeypatch.setitem(FAMILIES, "toy", FAMILIES["efficientnet"])
    code_identity.meaning_hash.cache_clear()
    assert "0 computed" in stage.run()
    files = code_identity.files_behind(*map(path_of, (*identity.CODE, resnet)))
    assert path_of(FAMILIES["efficientnet"]) not in files


def path_of(module):
    return code_identity.Path(module.__file__)


def test_the_code_behind_features_is_neither_files_nor_the_way_of_running():
    names = {file.name for file in code_identity.files_behind(*map(path_of, identity.CODE))}
    assert {"encode.py", "copying.py", "nvjpeg.py", "jpeg.py", "transform.py"} <= names
    running = {"stage.py", "build.py", "shards.py", "compiled.py", "devices.py", "video.py"}
    assert not running & names
    assert not {"frame_store.py", "feature_store.py", "checkpoint.py"} & names


def test_the_pure_core_knows_no_files():
    for module in identity.CODE:
        tree = ast.parse(path_of(module).read_text())
        used = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert not {"pipeline.frame_store", "pipeline.feature_store", "h5py"} & used


def test_each_file_says_what_the_backbone_costs_at_its_crop(computed):
    attributes = read_features(computed / "features/videos/video0.h5").attributes
    with torch.device("meta"):
        cost = image_cost(build_backbone("resnet18").network.eval(), 64)
    assert attributes["backbone_parameters"] == cost.parameters == 11_176_512
    assert attributes["backbone_flops_per_frame"] == cost.flops_per_frame
    settings(computed)
    params = (computed / "params.yaml").read_text().replace("crop: 64", "crop: 96")
    (computed / "params.yaml").write_text(params)
    stage.run()
    larger = read_features(computed / "features/videos/video0.h5").attributes
    assert larger["backbone_flops_per_frame"] == pytest.approx(
        cost.flops_per_frame * (96 / 64) ** 2, rel=0.01
    )


def test_each_file_holds_all_that_leads_from_a_video_to_its_features(computed):
    recipes = {
        read_features(path).attributes["recipe"]
        for path in (computed / "features/videos").glob("*.h5")
    }
    assert len(recipes) == 1
    recipe = json.loads(recipes.pop())
    # The sections as params.yaml has them, so that a report can tell the revision they are from.
    assert recipe["frames"] == FRAMES
    assert recipe["features"] == read_section(FeaturesParams, "features").model_dump()
    assert recipe["libraries"]["frames"] == {"av": "18.1"}
    assert set(recipe["libraries"]["features"]) == set(identity.LIBRARIES)
    assert recipe["backbone"]["name"] == "resnet18"
    assert recipe["backbone"]["weights"] == "random"
    assert recipe["backbone"]["transform"]["resize_px"] == 256


def test_frames_smaller_than_the_backbone_wants_are_reported_with_both_keys(project, capfd):
    add_video(project, "small", 2, 7, side=(60, 80))
    stage.run()
    said = capfd.readouterr().err
    assert "1 of 3 videos are stored with a short side of 60 px and enlarged to 73 px" in said
    assert "frames.short_side: 73" in said
    assert "features.crop: 52" in said
    enlarged = {
        path.stem: bool(read_features(path).attributes["enlarged"])
        for path in (project / "features/videos").glob("*.h5")
    }
    assert enlarged == {"video0": False, "video1": False, "small": True}


def test_the_library_that_makes_a_network_is_part_of_what_decides_its_features():
    def libraries_behind(name):
        with torch.device("meta"):
            transform = build_backbone(name).transform
        return parts_of_all(name, "w", transform, FeaturesParams(), [])["libraries"]

    pytest.importorskip("timm")
    assert "timm" in libraries_behind("timm/convnextv2_atto")
    assert set(libraries_behind("timm/convnextv2_atto+resnet18")) == {
        *("torch", "torchvision", "opencv-python-headless", "timm")
    }
    assert set(libraries_behind("resnet18")) == {"torch", "torchvision", "opencv-python-headless"}


def test_images_that_are_stretched_are_another_result():
    values = (64, 64, "bilinear", (0.5, 0.5, 0.5), (0.2, 0.2, 0.2))
    plain, stretched = (
        parts_of_all("resnet18", "w", transform, FeaturesParams(), [])
        for transform in (Transform(*values), Stretched(*values, width_px=64))
    )
    assert plain["transform"] != stretched["transform"]
    assert plain["code"] != stretched["code"]


def test_no_optional_library_is_loaded_before_a_network_needs_it():
    code = (
        "import sys; from pipeline.networks.backbones import build_backbone, names; names();"
        "build_backbone('resnet18'); print({'timm', 'transformers'} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"
