"""Samples from the video to the score: repeated frames, variable rates, lost frames."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from videos import write_video

from pipeline.backbone import stage as backbone
from pipeline.backbone.read_frames import read_frames
from pipeline.feature_store import read_features
from pipeline.features import stage as features
from pipeline.frame_store import FrameFile
from pipeline.frames import stage as frames
from pipeline.index import stage as index
from pipeline.prediction_files import write_prediction
from pipeline.scored_video import ScoredVideo
from pipeline.sequences import read_split
from pipeline.tables import read_masked


def settings(**chosen):
    params = {
        "seed": 1,
        "data": {"root": "ours", "layout": "csv"},
        "split": {"scheme": "column"},
        "frames": {"short_side": 64} | chosen,
        "backbone": {"name": "resnet18", "weights": "random", "mode": "frozen"},
        "features": {"precision": "fp32", "crop": 32},
        "runtime": {"device": "cpu", "workers": 1, "threads": 1, "progress": "none"},
    }
    Path("params.yaml").write_text(yaml.safe_dump(params))


@pytest.fixture
def ours(workplace):
    """Two videos of four seconds, one to train with and one to test."""
    for name, gop in (("v1", 25), ("v2", 20)):
        write_video(workplace / f"ours/{name}.mp4", 100, gop=gop, x264="scenecut=0")
    rows = [f"{v},{s},{s + 2},{p},{split}" for v, split in (("v1", "train"), ("v2", "test"))
            for s, p in ((0, "A"), (2, "B"))]  # fmt: skip
    text = "\n".join(["video,start_s,end_s,phase,split", *rows]) + "\n"
    (workplace / "ours/phases.csv").write_text(text)
    return workplace


def score(*arguments):
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-m", "pipeline", "score", *arguments, "--layout", "csv"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("fps", [20, 25, 100])
def test_score_accepts_predictions_on_a_variable_rate_and_above_the_sources(ours, shared_data, fps):
    """The file has 30 frames per second or so; they last from 0.03 s to 0.1 s."""
    shutil.copy(shared_data / "clips/pigleg_vfr.mp4", ours / "ours/v2.mp4")
    settings(fps=fps)
    index.run()
    frames.run()
    for video in ("v1", "v2"):
        with FrameFile(Path(f"data/frames/{video}.h5")) as file:
            time_s = file.time_s
            assert len(file.frame_time_s) <= len(time_s)
            shown = file.frame_time_s[[file.sample_frames(k)[0] for k in range(len(file))]]
        k_s = np.arange(len(time_s)) / fps
        # Each within the time for which its frame is shown, and no later than its tick.
        assert (np.diff(time_s) > 0).all()
        assert ((shown <= time_s) & (time_s <= k_s + 1e-9)).all()
        truth = (time_s >= 2).astype(np.int64)
        one_hot = np.eye(2)[truth]
        write_prediction(
            Path(f"reports/predictions/{video}.csv"),
            time_s,
            ("A", "B"),
            ScoredVideo(truth, truth, one_hot),
        )
    done = score("reports/predictions", "reports/predictions")
    assert done.returncode == 0, done.stderr
    assert "2 videos" in done.stdout and "100.0 %" in done.stdout


def damage(path):
    content = bytearray(path.read_bytes())
    half = len(content) // 2
    content[half : half + 300] = bytes(300)
    path.write_bytes(bytes(content))


def test_lost_samples_are_filled_marked_unlearnt_and_still_scored(ours):
    settings(fps=5)
    index.run()
    frames.run()
    backbone.run()
    features.run()
    whole = {video: read_features(Path(f"features/videos/{video}.h5")) for video in ("v1", "v2")}
    for video in whole:
        damage(ours / f"ours/{video}.mp4")
    settings(fps=5, on_error="mask")
    index.run()
    frames.run()
    features.run()
    masked = read_masked(Path("features/videos"))
    assert masked["video"].tolist() == ["v1", "v2"] and masked["samples"].tolist() == [20, 20]
    for video, before in whole.items():
        found = read_features(Path(f"features/videos/{video}.h5"))
        assert 1 <= found.lost.sum() <= 10
        assert masked.set_index("video").loc[video, "lost"] == found.lost.sum()
        np.testing.assert_array_equal(found.time_s, before.time_s)
        last = np.maximum.accumulate(np.where(found.lost, -1, np.arange(20)))
        np.testing.assert_array_equal(found.features, before.features[last])
    (learnt,), (tested,) = read_split("train"), read_split("test")
    lost = read_features(Path("features/videos/v1.h5")).lost
    assert (learnt.labels[lost] == -1).all() and (learnt.labels[~lost] >= 0).all()
    assert (tested.labels >= 0).all()
    seen = read_frames(("train",))
    assert seen.sample.tolist() == np.flatnonzero(~lost).tolist()


def test_features_of_whole_videos_say_nothing_of_loss(ours):
    settings(fps=5)
    index.run()
    frames.run()
    backbone.run()
    features.run()
    import h5py

    with h5py.File("features/videos/v1.h5") as file:
        assert set(file) == {"features", "time_s"}
    assert not read_features(Path("features/videos/v1.h5")).lost.any()
    assert pd.read_csv("features/videos/masked.csv").empty


def test_a_renamed_video_another_spelling_and_a_moved_folder_extract_nothing(ours):
    settings(fps=5)
    index.run()
    assert "2 extracted" in frames.run()
    (ours / "ours/v1.mp4").rename(ours / "ours/operation1.mp4")
    table = ours / "ours/phases.csv"
    table.write_text(table.read_text().replace("v1,", "operation1,"))
    settings(fps="5/1")
    index.run()
    assert "2 videos, 0 extracted" in frames.run()
    with FrameFile(Path("data/frames/operation1.h5")) as file:
        assert file.attributes["video"] == "operation1"
        assert file.attributes["fps"] == 5
    settings(fps=4)
    assert "2 extracted" in frames.run()
