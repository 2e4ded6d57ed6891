"""What only a GPU can show: copies on a side stream, nvJPEG, CUDA graphs. Skipped without one."""

import numpy as np
import pytest
import torch
from features_project import add_video, forget, settings

from pipeline.feature_store import read_features
from pipeline.features import stage

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no GPU")


def features(project, **values):
    settings(project, dtype="float32", **values)
    forget(project)  # whose results do not tell on which device they were computed
    stage.run()
    return read_features(project / "features/videos/video2.h5")


@pytest.fixture
def on_cpu(project):
    add_video(project, "video2", 333, 2)
    return features(project, device="cpu").features


def distance(one, other):
    return np.linalg.norm(one - other) / np.linalg.norm(other)


@pytest.mark.parametrize(
    ("values", "most"),
    [
        ({}, 1e-4),
        ({"precision": "bf16"}, 2e-2),
        ({"precision": "bf16", "compile": "true"}, 2e-2),
        ({"decoder": "nvjpeg"}, 2e-2),
        ({"decoder": "nvjpeg", "precision": "bf16", "compile": "true"}, 3e-2),
    ],
)
def test_a_gpu_gives_the_features_of_the_processor(project, on_cpu, values, most):
    # Each batch meets its own frames only if no copy or decoder overtakes the network.
    found = features(project, device="cuda", batch=16, **values)
    assert found.attributes["compiled"] == (values.get("compile") == "true")
    assert distance(found.features, on_cpu) < most
    rows = [distance(a, b) for a, b in zip(found.features, on_cpu, strict=True)]
    assert max(rows) < 3 * most


def test_a_gpu_repeats_its_bits(project, on_cpu):
    first = features(project, device="cuda").features
    assert not np.array_equal(first, on_cpu)
    assert np.array_equal(features(project, device="cuda").features, first)
