import shutil

import pytest
import torch
from features_project import forget, hashes, settings
from torch import nn
from torch._inductor import config as inductor_config
from torch._inductor import cpp_builder

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


def test_without_a_compiler_one_line_says_so_and_the_bytes_are_the_plain_ones(
    project, monkeypatch, capfd
):
    stage.run()
    plain = hashes(project / "features/videos")
    forget(project)
    settings(project, compile="true")
    # torch looks for a compiler once, and keeps what it compiled.
    cpp_builder.cpp_compiler_search.cache_clear()
    monkeypatch.setattr(inductor_config.cpp, "cxx", (None, "no-such-compiler"))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(project / "cache"))
    capfd.readouterr()
    try:
        stage.run()
    finally:
        cpp_builder.cpp_compiler_search.cache_clear()
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 5, lines
    assert lines[1] == "features: compiling the backbone"
    assert "not compiled, runtime.compile needs a C++ compiler" in lines[2]
    assert hashes(project / "features/videos") == plain
    assert not read_features(project / "features/videos/video0.h5").attributes["compiled"]


def test_int8_is_not_compiled_and_says_so(project, capfd):
    settings(project, precision="int8", compile="true")
    stage.run()
    assert "int8 is not compiled" in capfd.readouterr().err
