"""Clips end to end: a video whose frames carry their number, through frames and features.

The toy network's features are the frames it saw, so that a file of features can be read back as
numbers of frames.
"""

import hashlib
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
import videos
from contributed import toy_clip_backbone
from contributed.toy_clip_backbone import GRID
from videos import write_video

from pipeline.backbone import stage as backbone_stage
from pipeline.errors import PipelineError
from pipeline.feature_store import read_features
from pipeline.features import stage as features_stage
from pipeline.frame_store import FrameFile
from pipeline.frames import stage as frames_stage
from pipeline.networks.backbones import CLIP_FAMILIES
from pipeline.tables import write_table

PARAMS = """\
seed: 1
data: {{root: videos}}
frames: {{fps: {fps}, short_side: 64}}
backbone: {{name: toy_clip, clip: {clip}}}
features: {{precision: {precision}, dtype: float32}}
runtime: {{device: cpu, devices: 1, workers: 2, batch: {batch}, threads: 1, compile: false,
  progress: lines}}
"""


def settings(fps="1", clip="{frames: 4, stride_s: 0.2}", precision="fp32", batch=8):
    text = PARAMS.format(fps=fps, clip=clip, precision=precision, batch=batch)
    Path("params.yaml").write_text(text)


@pytest.fixture
def project(workplace, monkeypatch):
    monkeypatch.setitem(CLIP_FAMILIES, "toy_clip", toy_clip_backbone)
    # All of the number in the square that the network sees.
    monkeypatch.setattr(videos, "CELL", 6)
    settings()
    write_video(Path("videos/v.mp4"), 110, 25)
    index()
    return workplace


def index():
    rows = []
    for path in sorted(Path("videos").iterdir()):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        rows.append({"video": path.stem, "path": path.name, "sha256": content, "width": 0})
        rows[-1] |= {"height": 0, "fps": 0, "frames": 0, "duration_s": 0, "problem": ""}
    write_table(pd.DataFrame(rows), Path("data/index/videos.csv"))


def run():
    frames_stage.run()
    backbone_stage.run()
    return features_stage.run()


def seen(path="features/videos/v.h5"):
    """The numbers of the frames behind each row of features, (T, L)."""
    features = read_features(Path(path)).features
    bits = features.reshape(len(features), -1, GRID) > 0.5
    return (bits * (1 << np.arange(GRID))).sum(axis=2)


def test_a_past_clip_is_the_frames_shown_up_to_its_sample(project):
    run()
    found = seen()
    assert found.tolist() == [
        [max(0, 25 * k - 5 * back) for back in (3, 2, 1, 0)] for k in range(5)
    ]
    features = read_features(Path("features/videos/v.h5"))
    np.testing.assert_allclose(features.time_s, [0, 1, 2, 3, 4])
    assert features.attributes["fps"] == 1


def test_a_centred_clip_is_the_frames_around_its_sample(project):
    settings(clip="{frames: 3, stride_s: 0.4, position: centred}")
    run()
    # The clip rate of 2.5 and the samples of 1 per second meet at 5 per second: stored are frames
    # 0, 5, ..., 105, of which the last repeats.
    assert seen().tolist() == [
        [0, 0, 10],
        [15, 25, 35],
        [40, 50, 60],
        [65, 75, 85],
        [90, 100, 105],
    ]


def test_each_frame_is_stored_once_and_no_more_than_are_needed(project):
    settings(clip="{frames: 16, stride_s: 0.2}")
    run()
    with FrameFile(Path("data/frames/v.h5")) as frames:
        assert len(frames) == 22  # 4.36 s at 5 per second
        assert len(np.unique(frames.frame_time_s)) == 22


def test_a_jpeg_is_decoded_once_however_many_clips_it_is_part_of(project, monkeypatch):
    settings(clip="{frames: 16, stride_s: 0.2}")
    frames_stage.run()
    backbone_stage.run()
    read = []
    jpeg = FrameFile.jpeg
    monkeypatch.setattr(FrameFile, "jpeg", lambda self, row: read.append(row) or jpeg(self, row))
    features_stage.run()
    assert sorted(read) == list(range(21))  # the last stored one, at 4.2 s, is behind all samples


def test_clips_longer_than_the_video_are_mentioned(project, capsys):
    settings(clip="{frames: 4, stride_s: 2}")
    run()
    assert "5 clips, all longer than the video: they repeat its first" in capsys.readouterr().err
    assert seen()[4].tolist() == [0, 0, 50, 100]


@pytest.mark.parametrize("stride", [1, 2])
def test_strides_of_whole_samples_share_the_frames_of_single_images(project, stride):
    settings(clip="null")
    frames_stage.run()
    before = Path("data/frames/v.h5").read_bytes()
    settings(clip=f"{{frames: 3, stride_s: {stride}}}")
    run()
    assert Path("data/frames/v.h5").read_bytes() == before
    assert seen()[4].tolist() == [25 * max(0, 4 - stride * back) for back in (2, 1, 0)]


def test_no_pixel_of_the_future_changes_the_features_of_past_clips(project):
    run()
    before = read_features(Path("features/videos/v.h5")).features
    # The same video up to frame 60, then other pictures: 25 black ones in place of numbers.
    write_video(Path("videos/v.mp4"), 110, 25, altered_from=61)
    index()
    run()
    after = read_features(Path("features/videos/v.h5")).features
    assert len(before) == len(after) == 5
    # Lossy coding may move pixels a little; what is shown does not change before second 2.44.
    np.testing.assert_allclose(after[:3], before[:3], atol=0.1)
    assert np.abs(after[3:] - before[3:]).max() > 0.5


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_features_depend_neither_on_the_batch_nor_on_the_decoding_order(project, precision):
    settings(precision=precision)
    run()
    first = Path("features/videos/v.h5").read_bytes()
    for path in Path(".store/features").glob("*.h5"):
        path.unlink()
    settings(precision=precision, batch=64)
    run()
    assert Path("features/videos/v.h5").read_bytes() == first


def test_features_of_other_clips_are_others_and_are_all_kept(project):
    assert "1 computed" in run()
    settings(clip="{frames: 4, stride_s: 0.2, position: centred}")
    assert "1 computed" in run()
    settings(clip="{frames: 5, stride_s: 0.2}")
    assert "1 computed" in run()
    settings()
    assert "0 computed" in run()


def test_frames_of_other_clips_are_refused(project):
    frames_stage.run()
    settings(clip="{frames: 4, stride_s: 0.4}")
    backbone_stage.run()
    with pytest.raises(PipelineError, match=r"recipe.json: frames are stored for.*dvc repro"):
        features_stage.run()


@pytest.mark.parametrize(
    ("clip", "message"),
    [
        ("null", r"backbone.clip: found null, but toy_clip reads clips.*frames: 8, stride_s: 0.2"),
        ("{frames: 80, stride_s: 1}", r"backbone.clip.frames: found 80. toy_clip reads 2 to 64"),
        ("{frames: 4}", r"backbone.clip.stride_s"),
    ],
)
def test_an_impossible_clip_is_named(project, clip, message):
    settings(clip=clip)
    with pytest.raises(PipelineError, match=message):
        backbone_stage.run()


def test_a_network_of_images_takes_no_clip(project):
    text = Path("params.yaml").read_text().replace("toy_clip", "resnet18")
    Path("params.yaml").write_text(text)
    with pytest.raises(PipelineError, match=r"backbone.clip: resnet18 reads single images"):
        backbone_stage.run()
