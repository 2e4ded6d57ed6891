"""What is told of whole videos in the layout csv: videos.csv beside the videos."""

import pandas as pd
import pytest
from index_project import fails, table

from pipeline.backbone.read_frames import read_classes
from pipeline.index import stage
from pipeline.tables import read_labels, read_phases, read_splits, read_videos
from pipeline.video_targets import read_column


def told(folder, *rows, header="video,skill,split"):
    (folder / "videos.csv").write_text("\n".join([header, *rows]) + "\n")


def test_videos_without_any_labelled_frame_are_indexed_with_what_is_told_of_them(ours):
    (ours / "phases.csv").unlink()
    told(ours, "v1,01,train", "v2,,test")
    assert "2 videos: 1 train, 0 val, 1 test" in stage.run()
    assert len(read_labels()) == 0 and read_phases() == ()
    assert read_splits()["split"].tolist() == ["train", "test"]
    assert list(read_videos())[-1] == "skill"
    assert read_column("skill") == {"v1": "01", "v2": ""}
    assert pd.read_csv("data/index/backbone_finetune.csv")["video"].tolist() == ["v1"]


def test_what_is_told_of_videos_stands_beside_their_phases(ours):
    told(ours, "v1,expert,A", "v2,novice,B", header="video,skill,surgeon")
    stage.run()
    assert read_phases() == ("A", "B")
    assert read_column("surgeon") == {"v1": "A", "v2": "B"}
    assert read_classes("phase") == ("A", "B")


def test_a_table_of_labels_may_be_called_videos(ours):
    (ours / "phases.csv").rename(ours / "videos.csv")
    stage.run()
    assert read_phases() == ("A", "B") and len(read_labels()) == 3


@pytest.mark.parametrize(
    ("rows", "header", "message"),
    [
        (["v9,1,train"], "video,skill,split", r"videos\.csv:2: the video 'v9' is not there"),
        (["v1,1", "v1,2"], "video,skill", r"videos\.csv:3: the video v1 is in it twice"),
        (["v1,1,tset"], "video,skill,split", r"videos\.csv:2: split 'tset'\. Allowed: train, val"),
        (["v1"], "video,skill", r"videos\.csv:2: has another number of fields"),
        (["v1,1"], "name,skill", r"videos\.csv:1: header 'name,skill', expected `video`"),
        (["v1,1"], "video,fps", r"videos\.csv:1: header 'video,fps', .*other names than path"),
        (["v1,train"], "video,split", r"both have a column `split`"),
    ],
)
def test_what_is_wrong_with_the_table_is_named(ours, rows, header, message):
    told(ours, *rows, header=header)
    fails(message)


def test_without_any_table_both_are_named(ours):
    (ours / "phases.csv").unlink()
    table(ours, header="x")
    (ours / "phases.csv").rename(ours / "a.csv")
    (ours / "b.csv").write_text("x\n")
    fails(r"one table of labels, phases\.csv, .* or videos\.csv .* found a\.csv, b\.csv")
