"""Features of several frozen networks: those of each alone, side by side."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from features_project import forget, hashes, settings
from safetensors.torch import save_file

from pipeline.backbone import stage as backbone_stage
from pipeline.backbone_parts import joined, names_and_crops, separated
from pipeline.checkpoint import load_checkpoint, save_checkpoint, tensors_hash
from pipeline.efficiency import measure
from pipeline.errors import PipelineError
from pipeline.feature_store import read_features
from pipeline.features import fitting_batch, stage
from pipeline.features.build import Plan, build_writer
from pipeline.features.params import FeaturesParams
from pipeline.networks.backbones import build_backbone
from pipeline.networks.cost import image_cost
from pipeline.paths import BACKBONE
from pipeline.runtime import read_runtime

BOTH = "[resnet18, resnet34]"


def run(project, name, crop=64, weights="random", video="video1", **values):
    settings(project, **values)
    text = (project / "params.yaml").read_text()
    text = text.replace("resnet18, weights: random", f"{name}, weights: {weights}")
    (project / "params.yaml").write_text(text.replace("crop: 64", f"crop: {crop}"))
    backbone_stage.run()
    line = stage.run()
    return read_features(project / f"features/videos/{video}.h5"), line


@pytest.fixture
def encoded(monkeypatch):
    """The videos that were encoded, with the network that did it."""
    videos = []
    original = fitting_batch.write_video

    def watched(video, by, pool):
        videos.append((by.attributes["backbone"], video.container.stem))
        return original(video, by, pool)

    monkeypatch.setattr(fitting_batch, "write_video", watched)
    return videos


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_the_rows_are_those_of_each_network_to_the_bit(project, encoded, precision):
    both, line = run(project, BOTH, precision=precision)
    assert "2 videos, 2 computed" in line and len(encoded) == 4
    forget(project)
    alone = [run(project, name, precision=precision)[0] for name in ("resnet18", "resnet34")]
    expected = np.concatenate([part.features for part in alone], axis=1)
    assert expected.shape == (10, 1024)
    assert np.array_equal(both.features, expected) and both.features.dtype == expected.dtype
    assert np.array_equal(both.time_s, alone[0].time_s)


def test_what_the_store_holds_of_a_network_is_not_computed_again(project, encoded):
    run(project, "resnet18")
    before = hashes(project / ".store/features")
    encoded.clear()
    _, line = run(project, BOTH)
    assert encoded == [("resnet34", "video0"), ("resnet34", "video1")] and "2 computed" in line
    assert before.items() <= hashes(project / ".store/features").items()
    encoded.clear()
    for name in (BOTH, "[resnet34, resnet18]", "resnet34"):
        assert "0 computed" in run(project, name)[1]
    assert not encoded


def test_a_networks_file_in_the_store_is_the_one_it_has_alone(project):
    run(project, BOTH)
    together = hashes(project / ".store/features")
    forget(project)
    run(project, "resnet18")
    run(project, "resnet34")
    assert hashes(project / ".store/features") == together


def test_a_second_run_writes_the_same_bytes(project):
    run(project, BOTH)
    first = hashes(project / "features/videos")
    run(project, BOTH)
    assert hashes(project / "features/videos") == first


def test_each_file_says_which_networks_made_it_and_what_they_cost(project):
    found = run(project, BOTH)[0].attributes
    assert found["backbone"] == "resnet18+resnet34" and found["weights"] == "random"
    with torch.device("meta"):
        costs = [image_cost(build_backbone(n).network.eval(), 64) for n in ("resnet18", "resnet34")]
    assert found["backbone_parameters"] == sum(cost.parameters for cost in costs)
    assert found["backbone_flops_per_frame"] == sum(cost.flops_per_frame for cost in costs)
    tensors, header = load_checkpoint(BACKBONE)
    assert found["weights_hash"] == header["tensors_hash"] == tensors_hash(tensors)
    assert found["crop"] == 64 and found["precision"] == "fp32"
    recipe = json.loads(found["recipe"])["backbone"]
    assert [part["name"] for part in recipe["parts"]] == ["resnet18", "resnet34"]


def test_networks_see_the_image_in_sizes_of_their_own(project):
    found = run(project, "[pixels, resnet18]", crop="null")[0]
    assert found.features.shape[1] == 64 * 64 + 512
    assert list(found.attributes["crop"]) == [64, 224]
    assert list(found.attributes["enlarged"]) == [False, True]
    _, header = load_checkpoint(BACKBONE)
    crops = names_and_crops(header, found.attributes["crop"])
    assert crops == [("pixels", 64), ("resnet18", 224)]
    with torch.device("meta"):
        alone = image_cost(build_backbone("resnet18").network.eval(), 224)
    assert measure._cost(crops, 1) == vars(alone)
    assert measure._cost(crops, 2)["flops_per_frame"] == 2 * alone.flops_per_frame


def test_the_file_holds_each_network_as_its_own_file_would(project):
    _, header = load_checkpoint(BACKBONE)
    save_checkpoint(Path("w.safetensors"), load_checkpoint(BACKBONE)[0], header)
    run(project, "[resnet34, resnet18]", weights="[random, w.safetensors]")
    tensors, header = load_checkpoint(BACKBONE)
    assert header["weights"] == "random + w.safetensors"
    assert header["dim"] == 1024 and "transform" not in header
    parts = separated(tensors, header)
    assert tensors.keys() == joined([own for own, _ in parts]).keys()
    for (own, part), name in zip(parts, ("resnet34", "resnet18"), strict=True):
        build_backbone(name).network.load_state_dict(own)
        assert (part["name"], part["dim"], part["mode"]) == (name, 512, "frozen")
        assert part["transform"]["crop_px"] == 224
    assert "weights_sha256" in parts[1][1] and "weights_sha256" not in parts[0][1]
    for name in ("random", "w.safetensors"):
        run(project, "resnet34" if name == "random" else "resnet18", weights=name)
        alone, of_alone = load_checkpoint(BACKBONE)
        own, part = parts[name != "random"]
        assert tensors_hash(own) == tensors_hash(alone)
        differ = {"tensors_hash", "name", "weights", "weights_sha256"}
        assert {k: v for k, v in part.items() if k not in differ} == {
            k: v for k, v in of_alone.items() if k not in differ
        }


def test_a_file_of_one_network_is_its_own_only_part(project):
    tensors, header = load_checkpoint(BACKBONE)
    assert separated(tensors, header) == [(tensors, header)]


def test_a_lost_sample_repeats_the_row_before_it_in_all_networks(project):
    with h5py.File("data/frames/video1.h5", "r+") as file:
        file["lost"][4] = True
    found, _ = run(project, BOTH)
    assert np.flatnonzero(found.lost).tolist() == [4]
    assert np.array_equal(found.features[4], found.features[3])


def test_a_process_builds_the_network_that_it_is_told_to(project):
    """As each process of several GPUs does, from the file alone."""
    run(project, "[resnet18, shufflenet_v2_x0_5]")
    for part, dim in enumerate((512, 1024)):
        plan = Plan(BACKBONE, FeaturesParams(crop=64), read_runtime(), [], {}, None, part)
        with ThreadPoolExecutor(1) as pool:
            encoder = build_writer(plan, torch.device("cpu"), pool, print).encoder
            assert encoder(torch.zeros(1, 3, 64, 64, dtype=torch.uint8)).shape == (1, dim)


def test_a_network_that_cannot_is_named_before_any_is_run(project, encoded):
    with pytest.raises(PipelineError, match=r"found int8, but pixels cannot be quantised"):
        run(project, "[resnet18, pixels]", precision="int8")
    assert not encoded


def test_weights_of_another_architecture_are_refused(project):
    save_file({"conv1.weight": torch.zeros(1)}, "w.safetensors")
    with pytest.raises(PipelineError, match=r"w\.safetensors: these are not weights of resnet34"):
        run(project, BOTH, weights="[random, w.safetensors]")


@pytest.mark.parametrize(
    ("name", "weights", "message"),
    [
        ("[resnet18]", "random", r"name: a list has two networks or more, found \['resnet18'\]"),
        ("[resnet18, resnet19]", "random", r"backbone\.name: found 'resnet19'\. Did you mean"),
        (BOTH, "[random]", "weights: found 1 for 2 networks in name"),
        ("resnet18", "[random, random]", "weights: found 2 for 1 networks in name"),
        ("resnet18+resnet34", "random", r"backbone\.name: found 'resnet18\+resnet34'"),
        (BOTH, "random, fusion: mean", r"backbone\.fusion: found 'mean'.*'cross_attention'"),
        (BOTH, "random, clip: {frames: 4, stride_s: 1}", "clip: a hybrid reads single images"),
    ],
)
def test_a_hybrid_that_cannot_be_is_refused_by_name(project, name, weights, message):
    with pytest.raises(PipelineError, match=message):
        run(project, name, weights=weights)
