import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from features_project import forget, hashes, settings
from torch import nn

from pipeline.feature_store import read_features
from pipeline.features import stage
from pipeline.features.compiled import compiled


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    ).eval()


def test_a_compiled_network_is_the_same_up_to_rounding():
    if shutil.which("g++") is None:
        pytest.skip("no g++ on this machine")
    lines, images = [], torch.rand(8, 3, 16, 16)
    plain = network()
    forward, is_compiled = compiled(plain, images, lines.append)
    assert is_compiled
    assert lines == []
    with torch.inference_mode():
        torch.testing.assert_close(forward(images), plain(images), rtol=1e-5, atol=1e-6)


def test_without_a_compiler_one_line_says_so_and_the_bytes_are_the_plain_ones(project):
    stage.run()
    plain = hashes(project / "features/videos")
    forget(project)
    settings(project, compile="true")
    # In a process of its own: torch looks for a compiler once.
    environment = os.environ | {
        "PYTHONPATH": str(Path(stage.__file__).parents[2]),
        "CXX": "no-such-compiler",
        "TORCHINDUCTOR_CACHE_DIR": str(project / "cache"),
    }
    command = [sys.executable, "-c", "from pipeline.features.stage import run; run()"]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    lines = ran.stderr.splitlines()
    assert len(lines) == 5, ran.stderr
    assert lines[1] == "features: compiling the backbone"
    assert "not compiled, runtime.compile needs a C++ compiler" in lines[2]
    assert hashes(project / "features/videos") == plain
    assert not read_features(project / "features/videos/video0.h5").attributes["compiled"]


def test_int8_is_not_compiled_and_says_so(project, capfd):
    settings(project, precision="int8", compile="true")
    stage.run()
    assert "int8 is not compiled" in capfd.readouterr().err
