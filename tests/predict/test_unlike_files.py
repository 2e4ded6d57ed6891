"""Warnings about files unlike those of the training videos, from the index to predict."""

from pathlib import Path

import pandas as pd
import pytest
from videos import write_video

from pipeline.index.known_files import KnownFiles
from pipeline.predict.container import Container, read_container
from pipeline.predict.unlike import unlike_files
from pipeline.tables import VIDEO_COLUMNS, write_table
from pipeline.train.seen_videos import videos_seen

VIDEOS = [
    ("a", "a.mp4", "0", 1920, 1080, 25, 1, 1, ""),
    ("b", "b.mp4", "0", 720, 576, 29.97, 1, 1, ""),
    ("turned", "c.mp4", "0", 1080, 1920, 30, 1, 1, ""),
    ("test", "d.mp4", "0", 3840, 2160, 60, 1, 1, ""),
]


@pytest.fixture
def header(workplace):
    write_table(pd.DataFrame(VIDEOS, columns=list(VIDEO_COLUMNS)), Path("data/index/videos.csv"))
    codecs = [("a", "h264"), ("b", "mpeg2video"), ("turned", ""), ("test", "hevc")]
    write_table(pd.DataFrame(codecs, columns=["video", "codec"]), Path("data/index/codecs.csv"))
    return {"videos_seen": videos_seen({"a", "b", "turned"})}


def test_a_model_says_what_its_training_videos_were_like(header):
    assert header["videos_seen"] == {
        "long_side": [720, 1920],
        "short_side": [576, 1080],
        "fps": [25, 30],
        "codecs": ["h264", "mpeg2video"],
    }


def test_only_what_lies_outside_comes_with_a_warning(header):
    assert unlike_files(Container(1280, 720, 25, 60, "h264"), header) == []
    assert unlike_files(Container(1088, 1920, 30, 60, "mpeg2video"), header) == []  # upright
    assert unlike_files(Container(), header) == []  # a container that says nothing
    size, rate, codec = unlike_files(Container(3840, 2160, 60, 60, "hevc"), header)
    assert size == "3840 x 2160 pixels, but the training videos have 720 to 1920 x 576 to 1080"
    assert rate == "60 frames per second, but the training videos have 25 to 30"
    assert codec == "coded as hevc, but the training videos as h264, mpeg2video"


def test_models_of_earlier_versions_and_of_features_without_videos_do_not_know(workplace):
    assert unlike_files(Container(3840, 2160, 60, 60, "hevc"), {}) == []
    assert videos_seen({"a"}) == {}
    given = [("a", "a.npy", "0", None, None, 15, 1, 1, "")]
    write_table(pd.DataFrame(given, columns=list(VIDEO_COLUMNS)), Path("data/index/videos.csv"))
    write_table(pd.DataFrame(columns=["video", "codec"]), Path("data/index/codecs.csv"))
    assert videos_seen({"a"}) == {}


def test_the_index_and_predict_name_a_codec_alike(workplace):
    path = Path("op/a.mp4")
    write_video(path, 10, fps=5)
    Path("op/text.mp4").write_text("no video")
    with KnownFiles() as files:
        assert files.codec(path) == read_container(path).codec == "h264"
        assert files.codec(Path("op/text.mp4")) == ""
