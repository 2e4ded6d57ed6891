import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
import torch

from pipeline.atomic import replacing, write_text
from pipeline.checkpoint import load_checkpoint, read_header, save_checkpoint
from pipeline.errors import PipelineError, VideoError
from pipeline.feature_store import read_features, write_features
from pipeline.frame_store import FrameFile, Samples, write_frames
from pipeline.result_store import Store, fingerprint
from pipeline.store_care import describe, prune
from pipeline.tables import read_splits, write_table


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def images(count):
    generator = np.random.default_rng(0)
    for sample in range(count):
        image = np.full((24, 32, 3), sample * 7 % 256, dtype=np.uint8)
        image[:4, :4] = generator.integers(0, 255, 3)
        yield cv2.imencode(".jpg", image)[1].tobytes(), sample / 5


def test_a_failed_write_leaves_neither_target_nor_partial_file(tmp_path):
    target = tmp_path / "a.txt"
    write_text(target, "whole")
    with pytest.raises(RuntimeError), replacing(target) as partial:
        partial.write_text("half")
        raise RuntimeError
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert target.read_text() == "whole"


def test_frames_come_back_with_times_and_attributes(tmp_path):
    path = tmp_path / "v.h5"
    assert write_frames(path, images(300), {"video": "v", "fps": 5.0}) == 300
    with FrameFile(path) as frames:
        assert len(frames) == 300
        assert frames.attributes["video"] == "v"
        np.testing.assert_allclose(frames.time_s, np.arange(300) / 5)
        assert abs(int(frames.image(9)[12, 20, 0]) - 63) <= 2
        np.testing.assert_array_equal(frames.time_s, frames.frame_time_s)
        np.testing.assert_array_equal(frames.kept, np.arange(300))


def test_samples_share_frames_and_may_lack_theirs(tmp_path):
    path = tmp_path / "v.h5"
    rows = np.array([[0], [0], [-1], [1], [1]])
    samples = Samples(rows, np.array([0, 0.5, 1, 1.2, 2]))
    assert write_frames(path, images(2), {"video": "v"}, samples) == 5
    with FrameFile(path) as frames:
        assert (len(frames), len(frames.frame_time_s)) == (5, 2)
        assert [frames.sample_frames(k).tolist() for k in range(5)] == rows.tolist()
        np.testing.assert_array_equal(frames.image(4), frames.image(3))
        np.testing.assert_array_equal(frames.jpeg(1), frames.frame_jpeg(0))
        assert frames.kept.tolist() == [0, 1, 3, 4]
        assert frames.attributes["lost_samples"] == 1
        with pytest.raises(IndexError, match=r"v\.h5: the frame of sample 2 was lost"):
            frames.image(2)


def test_a_clip_ends_at_its_sample(tmp_path):
    clips = Samples(np.array([[0, 0, 1], [1, 2, 3]]), np.array([0.2, 0.6]))
    write_frames(tmp_path / "v.h5", images(4), {}, clips)
    with FrameFile(tmp_path / "v.h5") as frames:
        assert frames.sample_frames(1).tolist() == [1, 2, 3]
        np.testing.assert_array_equal(frames.jpeg(1), frames.frame_jpeg(3))


def test_samples_must_fit_their_times_and_frames(tmp_path):
    with pytest.raises(ValueError, match="do not fit"):
        Samples(np.zeros((2, 1), np.int64), np.arange(3.0))
    with pytest.raises(ValueError, match="must rise"):
        Samples(np.zeros((2, 1), np.int64), np.zeros(2))
    samples = Samples(np.array([[2]]), np.zeros(1))
    with pytest.raises(ValueError, match="2 frames came, 3 are needed"):
        write_frames(tmp_path / "v.h5", images(2), {}, samples)
    assert not list(tmp_path.iterdir())


def test_the_same_frames_and_features_give_the_same_bytes(tmp_path):
    features = np.random.default_rng(0).normal(size=(50, 16)).astype(np.float16)
    for name in ("a", "b"):
        write_frames(tmp_path / f"{name}.h5", images(20), {"video": "v"})
        write_features(tmp_path / f"{name}f.h5", features, np.arange(50.0), {"video": "v"})
    assert sha256(tmp_path / "a.h5") == sha256(tmp_path / "b.h5")
    assert sha256(tmp_path / "af.h5") == sha256(tmp_path / "bf.h5")


def test_features_are_read_by_plain_h5py(tmp_path):
    features = np.ones((3, 8), dtype=np.float32)
    write_features(tmp_path / "v.h5", features, np.arange(3.0), {"video": "v"})
    assert h5py.File(tmp_path / "v.h5")["features"][:].shape == (3, 8)
    assert read_features(tmp_path / "v.h5").attributes["video"] == "v"


def test_more_features_are_mapped_than_a_shell_lets_open(tmp_path):
    resource = pytest.importorskip("resource")
    path = tmp_path / "a.h5"
    write_features(path, np.ones((4, 2), np.float16), np.arange(4.0), {})
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 1024:
        pytest.skip("this system allows fewer than 1024 open files")
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (128, hard))
        kept = [read_features(path) for _ in range(256)]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert all(found.features.sum() == 8 for found in kept)


def test_features_and_times_must_fit(tmp_path):
    with pytest.raises(ValueError, match="do not fit"):
        write_features(tmp_path / "v.h5", np.ones((3, 8)), np.arange(4.0), {})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("read", [read_features, FrameFile])
def test_missing_damaged_and_foreign_containers_are_named(tmp_path, read):
    with pytest.raises(PipelineError, match=r"v\.h5: not found"):
        read(tmp_path / "v.h5")
    (tmp_path / "v.h5").write_bytes(b"no hdf5")
    with pytest.raises(PipelineError, match=r"v\.h5: not a"):
        read(tmp_path / "v.h5")
    with h5py.File(tmp_path / "w.h5", "w"):
        pass
    with pytest.raises(PipelineError, match="format version 0"):
        read(tmp_path / "w.h5")


def test_checkpoints_come_back_and_have_the_same_bytes_every_time(tmp_path):
    tensors = {"b": torch.arange(4.0), "a": torch.ones(2, 3)}
    for name in ("one", "two"):
        save_checkpoint(tmp_path / name, tensors, {"z": 1, "phases": ["x", "y"]})
    assert sha256(tmp_path / "one") == sha256(tmp_path / "two")
    loaded, header = load_checkpoint(tmp_path / "one")
    assert torch.equal(loaded["b"], tensors["b"])
    assert header == read_header(tmp_path / "one") == {"z": 1, "phases": ["x", "y"]}


def test_a_foreign_or_damaged_checkpoint_is_refused(tmp_path):
    (tmp_path / "w").write_bytes(b"\x00" * 40)
    with pytest.raises(PipelineError, match="safetensors"):
        load_checkpoint(tmp_path / "w")
    with pytest.raises(PipelineError, match="not found"):
        read_header(tmp_path / "none")


def test_the_store_lies_in_the_main_repository_and_fills_with_copies(tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    store = Store("features")
    name = fingerprint(a=1, b=["x"])
    assert not store.has(name)
    write_text(store.path(name), "result")
    store.fill(name, tmp_path / "features" / "v.h5")
    assert (tmp_path / "features" / "v.h5").read_text() == "result"
    assert not os.path.samefile(store.path(name), tmp_path / "features" / "v.h5")
    assert store.path(name).stat().st_nlink == 1


def test_a_fingerprint_does_not_depend_on_order_but_on_every_value():
    assert fingerprint(a=1, b=2) == fingerprint(b=2, a=1)
    assert fingerprint(a=1, b=2) != fingerprint(a=1, b=2.5)


def test_prune_removes_what_is_old_and_keeps_what_was_used(tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    store = Store("frames")
    for name in ("old", "new"):
        write_text(store.path(name), "x" * 1000)
    partial = store.folder / ".dead.h5.00000000-1.partial"
    partial.write_text("half")
    assert describe().splitlines()[1].split() == ["partial", "1", "files", "4", "B"]
    long_ago = 1_000_000_000
    for path in (store.path("old"), partial):
        os.utime(path, (long_ago, long_ago))
    assert prune(30, dry_run=True) == "would remove 2 files, 1.0 KB"
    assert store.has("old")
    prune(30)
    assert [path.name for path in store.folder.iterdir()] == ["new.h5"]
    assert "frames" in describe()


KILLED = """
import os, signal
from pathlib import Path
from pipeline.atomic import replacing
from pipeline.result_store import Store

with replacing(Store("frames").path("result")) as partial:
    partial.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no kill -9")
def test_what_a_killed_process_left_half_written_is_counted_and_then_removed(workplace):
    run = [sys.executable, "-c", KILLED]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    assert subprocess.run(run, env=environment, check=False).returncode == -signal.SIGKILL
    folder = workplace / ".store/frames"
    (left,) = folder.iterdir()
    assert describe().splitlines()[0].split() == ["partial", "1", "files", "4", "B"]
    dead = left.read_text(), left.name
    with replacing(folder / "other.h5") as living:
        living.write_text("half")
        machine = dead[1].split(".")[-2].split("-")[0]
        foreign = folder / dead[1].replace(machine, "0" * 8)
        foreign.write_text("half")  # another machine's, on a shared disk
        Store("frames")
        assert sorted(folder.iterdir()) == sorted([living, foreign])
        yesterday = time.time() - 25 * 60 * 60
        os.utime(foreign, (yesterday, yesterday))
        reused = folder / living.name.replace("other", "older")
        reused.write_text("half")  # written before the process that has its number now
        os.utime(reused, (yesterday, yesterday))
        Store("frames")
        assert list(folder.iterdir()) == [living]
    assert [path.name for path in folder.iterdir()] == ["other.h5"]


def test_identifiers_that_look_like_numbers_stay_text(tmp_path):
    import pandas as pd

    table = pd.DataFrame({"video": ["007", "08"], "split": ["train", "test"]})
    write_table(table, tmp_path / "splits.csv")
    assert read_splits(tmp_path)["video"].tolist() == ["007", "08"]


def test_a_table_without_its_columns_is_named(tmp_path):
    (tmp_path / "splits.csv").write_text("video,part\na,train\n")
    with pytest.raises(PipelineError, match="column split is missing; found video, part"):
        read_splits(tmp_path)


def test_a_video_error_survives_the_way_back_from_a_worker():
    import pickle

    error = pickle.loads(pickle.dumps(VideoError("video01", "zero bytes")))
    assert (error.video, error.reason) == ("video01", "zero bytes")
    assert str(error) == "video01: zero bytes"
