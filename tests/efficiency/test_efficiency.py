"""What the models that lie in models/ cost."""

import json
from pathlib import Path

import pytest
import torch

from pipeline.checkpoint import load_checkpoint, save_checkpoint
from pipeline.efficiency.measure import as_text, measure
from pipeline.errors import PipelineError
from pipeline.networks.backbones import build_backbone
from pipeline.networks.cost import image_cost
from pipeline.result_store import file_hash


def test_costs_and_times_are_those_of_the_models_in_the_folder(project):
    found = measure()
    assert json.loads(Path("reports/efficiency.json").read_text()) == found
    assert found["backbone"]["parameters"] == 11_176_512  # ResNet-18 without its classifier
    # One LSTM layer of 4 units on 8 features, then 7 phases; two operations per weight.
    assert found["head"]["flops_per_frame"] == 2 * (16 * 8 + 16 * 4 + 7 * 4)
    assert found["timings"]["latency_ms_per_frame"] > 0
    assert found["timings"]["throughput_frames_per_s"] > 0
    text = as_text(found)
    assert "11,176,512 parameters" in text and "frames per second" in text

    path = Path("models/temporal.safetensors")
    before = found["head"]["sha256"]
    assert before == file_hash(path)
    tensors, header = load_checkpoint(path)
    save_checkpoint(path, tensors, header | {"seed": 2})
    assert measure()["head"]["sha256"] == file_hash(path) != before


def test_images_have_the_crop_of_the_features_and_not_of_the_transform(project):
    """The transform says 32 pixels, the features were made at 48."""
    found = measure()["backbone"]
    assert found["crop_px"] == 48
    with torch.device("meta"):
        expected = image_cost(build_backbone("resnet18").network.eval(), 48)
        other = image_cost(build_backbone("resnet18").network.eval(), 32)
    assert found["flops_per_frame"] == expected.flops_per_frame > other.flops_per_frame


def test_without_features_nothing_is_measured(project):
    for path in Path("features/videos").glob("*.h5"):
        path.unlink()
    with pytest.raises(PipelineError, match="features/videos: holds no features"):
        measure()
