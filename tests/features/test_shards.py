"""Several devices, for which the CPU stands in: the code path of several GPUs."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from features_project import add_video, forget, hashes, settings
from warm_processes import warm_multiprocessing

from pipeline.errors import PipelineError
from pipeline.features import devices, shards, stage
from pipeline.features.params import FeaturesParams
from pipeline.runtime import RuntimeParams, read_runtime


@pytest.fixture(autouse=True)
def warm(monkeypatch):
    """Processes that need not import torch."""
    monkeypatch.setattr(shards, "multiprocessing", warm_multiprocessing())


@pytest.fixture
def two_devices(monkeypatch):
    cpu = torch.device("cpu")
    monkeypatch.setattr(stage, "devices_for", lambda *_: [cpu, cpu])


def test_two_processes_write_the_bytes_of_one(project, monkeypatch, capfd):
    for number in range(2, 5):
        add_video(project, f"video{number}", 9, number)
    stage.run()
    alone = hashes(project / "features/videos")
    forget(project)
    cpu = torch.device("cpu")
    monkeypatch.setattr(stage, "devices_for", lambda *_: [cpu, cpu])
    assert "5 videos, 5 computed" in stage.run()
    assert hashes(project / "features/videos") == alone
    assert "features 5/5" in capfd.readouterr().err


def test_a_failure_in_one_process_names_its_file_and_keeps_what_is_finished(project, two_devices):
    add_video(project, "video2", 9, 2)
    with h5py.File(project / "data/frames/video1.h5", "r+") as file:
        file["jpeg"][4] = np.frombuffer(b"no picture at all", dtype=np.uint8)
    with pytest.raises(PipelineError, match=r"video1\.h5: a frame is not a readable JPEG"):
        stage.run()
    finished = len(list((project / ".store/features").glob("*.h5")))
    assert not list((project / ".store/features").glob("*.partial"))
    add_video(project, "video1", 10, 1)
    assert f"3 videos, {3 - finished} computed" in stage.run()


def test_a_device_that_cannot_be_used_says_so_itself(project, monkeypatch):
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    broken = [torch.device("cuda", 0), torch.device("cuda", 1)]
    monkeypatch.setattr(stage, "devices_for", lambda *_: broken)
    with pytest.raises((RuntimeError, AssertionError), match=r"NVIDIA|CUDA"):
        stage.run()


@pytest.mark.parametrize(
    ("asked", "used"),
    [(1, [0]), (3, [0, 1, 2]), (16, [0, 1, 2, 3]), ("auto", [0, 1, 2, 3]), ([2, 0], [0, 2])],
)
def test_the_gpus_that_runtime_devices_names(monkeypatch, asked, used):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    found = devices.devices_for(RuntimeParams(devices=asked), FeaturesParams())
    assert found == [torch.device("cuda", number) for number in used]


def test_a_slice_is_named_as_cuda_visible_devices_has_it_and_others_are_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-a,MIG-b")
    found = devices.devices_for(RuntimeParams(devices=["MIG-b"]), FeaturesParams())
    assert found == [torch.device("cuda", 1)]
    with pytest.raises(PipelineError, match=r"devices: found MIG-c, 7.*0, 1, MIG-a, MIG-b"):
        devices.devices_for(RuntimeParams(devices=["MIG-c", 7, 0]), FeaturesParams())


@pytest.mark.parametrize("devices", ["0", "[]", "all", "[0, 0]", "true", "[1.5]"])
def test_devices_that_cannot_be_are_refused_in_one_line(workplace, devices):
    Path("params.yaml").write_text(f"runtime: {{devices: {devices}}}\n")
    with pytest.raises(PipelineError, match=r"^params\.yaml: runtime\.devices: found .*\.$"):
        read_runtime()


def test_devices_that_are_listed_change_nothing_without_a_gpu():
    runtime = RuntimeParams(device="cpu", devices=[3])
    assert devices.devices_for(runtime, FeaturesParams()) == [torch.device("cpu")]


def test_never_more_processes_than_videos(project, monkeypatch):
    cpu, asked = torch.device("cpu"), []
    monkeypatch.setattr(stage, "devices_for", lambda *_: [cpu] * 64)
    monkeypatch.setattr(
        stage,
        "compute_on_all",
        lambda missing, plan, devices: asked.append(len(devices)) or iter(()),
    )
    settings(project)
    with pytest.raises(FileNotFoundError):
        stage.run()
    assert asked == [2]
