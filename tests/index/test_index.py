import shutil
import sys
from pathlib import Path

import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
from videos import write_video

from pipeline.errors import PipelineError
from pipeline.index import hashes, stage
from pipeline.index.layouts import cataract101, cholec80
from pipeline.index.layouts.dataset import Dataset, Run
from pipeline.index.params import SplitParams
from pipeline.index.probe import probe
from pipeline.index.splits import split_videos
from pipeline.phases import CHOLEC80
from pipeline.tables import read_labels, read_phases, read_splits, read_tools, read_videos

PARAMS = """\
seed: 1
data: {{root: data/ours, layout: {layout}}}
split: {{{split}}}
runtime: {{progress: none}}
"""
LISTS = "scheme: lists, train: [v1], test: [v2]"


def settings(layout="csv", split="scheme: column"):
    Path("params.yaml").write_text(PARAMS.format(layout=layout, split=split))


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """Two seconds of video, 50 frames."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    write_video(path, 50)
    return path


@pytest.fixture
def ours(tmp_path, monkeypatch, clip):
    """A folder of two videos and a table, in the generic layout."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    folder = tmp_path / "data/ours"
    folder.mkdir(parents=True)
    for name in ("v1", "v2"):
        shutil.copy(clip, folder / f"{name}.mp4")
    table(folder, "v1,0,1,A,train", "v1,1,2,B,train", "v2,0.5,2,A,test")
    settings()
    return folder


def table(folder, *rows, header="video,start_s,end_s,phase,split"):
    (folder / "phases.csv").write_text("\n".join([header, *rows]) + "\n")


def fails(match):
    with pytest.raises(PipelineError, match=match):
        stage.run()


def test_a_table_of_runs_becomes_the_four_tables(ours):
    assert "2 videos: 1 train, 0 val, 1 test" in stage.run()
    videos = read_videos()
    assert videos["path"].tolist() == ["v1.mp4", "v2.mp4"]
    assert videos.loc[0, ["width", "height", "frames"]].tolist() == [160, 64, 50]
    assert videos["duration_s"].tolist() == [2, 2]
    assert read_phases() == ("A", "B")
    assert read_splits()["split"].tolist() == ["train", "test"]
    assert read_labels().iloc[2].tolist() == ["v2", 0.5, 2, "A"]
    before = {p.name: p.read_bytes() for p in Path("data/index").iterdir()}
    stage.run()
    assert before == {p.name: p.read_bytes() for p in Path("data/index").iterdir()}
    assert str(ours) not in "".join(p.read_text() for p in Path("data/index").iterdir())


def test_a_table_of_frames_is_read_at_the_videos_own_rate(ours):
    rows = [f"v1,{n},{'A' if n < 25 else 'B'},train" for n in range(50)]
    rows += [f"v2,{n},A,test" for n in range(10, 50)]
    table(ours, *rows, header="video,frame,phase,split")
    stage.run()
    assert read_labels().to_numpy().tolist() == [
        ["v1", 0, 1, "A"],
        ["v1", 1, 2, "B"],
        ["v2", 0.4, 2, "A"],
    ]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("v9,0,1,A,train", r"phases\.csv:5: the video 'v9' is not there"),
        ("v1,one,2,A,train", r"phases\.csv:5: start_s 'one'"),
        ("v1,2,1,A,train", r"phases\.csv:5: from 2 s to 1 s"),
        ("v1,0.5,1.5,B,train", r"Runs must not overlap"),
        ("v1,2,9,B,train", r"labels are 9\.00 s long, the video v1 .* 2\.00 s: longer"),
        ("v2,0,0.2,B,train", r"the video v2 is in test and in train"),
        ("v2,0,0.2,B,tset", r"split 'tset'\. Allowed: train, val, test"),
        ("v2,0,0.2,,test", r"phases\.csv:5: has no phase"),
        ("v2,0,0.2", r"phases\.csv:5: has another number of fields"),
    ],
)
def test_a_wrong_row_is_named_by_its_line(ours, row, message):
    table(ours, "v1,0,1,A,train", "v1,1,2,B,train", "v2,0.5,2,A,test", row)
    fails(message)


def test_all_wrong_rows_are_listed_together(ours):
    table(ours, "v1,0,1,A,train", "v8,1,2,B,train", "v9,1,2,B,train", "v2,0.5,2,A,test")
    fails(r"2 problems(.|\n)*phases\.csv:3(.|\n)*phases\.csv:4")


def test_a_wrong_header_names_what_was_expected(ours):
    table(ours, "v1,0,1,A", header="video,begin,end,phase")
    fails(r"phases\.csv:1: header 'video,begin,end,phase', expected 'video,start_s,end_s,phase'")


def test_a_missing_table_or_label_is_named(ours):
    table(ours, "v1,0,1,A,train")
    fails(r"no row for the video data/ours/v2\.mp4")
    (ours / "phases.csv").unlink()
    fails("expected one table of labels, phases.csv")


def test_missing_and_empty_folders_are_named(ours):
    for file in ours.iterdir():
        file.unlink()
    fails(r"data/ours: holds no video")
    ours.rmdir()
    fails(r"data/ours: no such folder\. Set data\.root")


def test_two_videos_with_one_name_are_named(ours, clip):
    (ours / "again").mkdir()
    shutil.copy(clip, ours / "again/v1.mp4")
    fails(r"two videos have the name v1: .*again/v1\.mp4 and .*ours/v1\.mp4")


def test_labels_up_to_one_second_longer_are_accepted_with_a_note(ours):
    table(ours, "v1,0,3,A,train", "v2,0,2,A,test")
    assert "v1: labels 3.00 s, video 2.00 s; accepted" in stage.run()


def test_a_damaged_video_is_noted_and_left_to_the_frames_stage(ours):
    (ours / "v1.mp4").write_bytes(b"")
    assert "note: v1: zero bytes" in stage.run()
    assert read_videos()["problem"].tolist() == ["zero bytes", ""]


def test_phases_that_training_never_shows_are_noted(ours):
    table(ours, "v1,0,1,A,train", "v2,0,1,C,test")
    assert "test has phases that train never shows: C" in stage.run()


def test_a_missing_split_column_and_an_unknown_listed_video_are_named(ours):
    table(ours, "v1,0,1,A", "v2,0,1,A", header="video,start_s,end_s,phase")
    fails("has no column `split`")
    settings(split="scheme: lists, train: [v1], test: [v7]")
    fails("split: v7 not among the videos")
    settings(split="scheme: lists, train: [v1]")
    fails("no video in test")
    settings(split="scheme: lists, train: [v1], test: [v1]")
    fails(r"v1 is in split\.train and in split\.test")
    settings(split=LISTS)
    stage.run()


def dataset(count):
    names = [f"video{n:02d}" for n in range(1, count + 1)]
    return Dataset({name: Path(name) for name in names})


@pytest.mark.parametrize(
    ("scheme", "counts"),
    [
        ("cholec80-40-40", (40, 0, 40)),
        ("cholec80-32-8-40", (32, 8, 40)),
        ("cholec80-40-8-32", (40, 8, 32)),
    ],
)
def test_named_protocols_have_their_published_sizes(scheme, counts):
    splits = split_videos(SplitParams(scheme=scheme), dataset(80), 1)
    found = list(splits.values())
    assert tuple(found.count(split) for split in ("train", "val", "test")) == counts
    assert list(splits) == sorted(splits) and found == sorted(
        found, key=["train", "val", "test"].index
    )


def test_a_random_split_depends_on_the_seed_alone_and_covers_every_video_once():
    params = SplitParams(scheme="random", val_share=0.2, test_share=0.3)
    one = split_videos(params, dataset(20), 1)
    assert one == split_videos(params, dataset(20), 1) != split_videos(params, dataset(20), 2)
    found = list(one.values())
    assert [found.count(split) for split in ("train", "val", "test")] == [10, 4, 6]


def test_real_cholec80_is_read_as_it_lies(shared_data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    settings("cholec80", "scheme: lists, train: [video01], test: [video02]")
    text = Path("params.yaml").read_text()
    Path("params.yaml").write_text(text.replace("data/ours", str(shared_data / "cholec80-mini")))
    stage.run()
    assert read_videos()["duration_s"].tolist() == [219, 133]
    assert read_phases() == CHOLEC80
    labels = read_labels()
    assert labels.groupby("video")["end_s"].max().tolist() == [219, 133]
    assert set(labels["phase"]) == set(CHOLEC80)


@pytest.mark.parametrize(
    "text",
    [
        "Frame\tPhase\n" + "".join(f"{n}\tPreparation\n" for n in range(100)),
        "".join(f"{n}\t0\n" for n in range(100)),
        "Frame Phase\n" + "".join(f"{n} 0\n" for n in range(0, 100, 25)),
        "".join(f"{n}\tPreparation\n" for n in range(0, 100, 25)),
    ],
)
def test_variants_of_cholec80_labels_give_the_same_runs(tmp_path, text):
    path = tmp_path / "video01-phase.txt"
    path.write_text(text)
    assert cholec80.read_labels(path) == [Run(0, 4, "Preparation")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Frame\tStep\n0\tPreparation\n", r":1: header"),
        ("Frame\tPhase\n0\tPreperation\n", r":2: unknown phase 'Preperation'\. Allowed: Prep"),
        ("0\t7\n", r":1: unknown phase '7'"),
        ("0\t0\n0\t1\n", r":2: frame 0 follows frame 0"),
        ("0\t0\nx\n", r":2: found 'x'"),
        ("", "holds no labels"),
    ],
)
def test_wrong_cholec80_labels_are_named_by_line(tmp_path, text, message):
    path = tmp_path / "video01-phase.txt"
    path.write_text(text)
    with pytest.raises(PipelineError, match=message):
        cholec80.read_labels(path)


def test_cholec80_labels_missing_too_short_or_too_long_are_listed(ours, clip):
    for folder in ("videos", "phase_annotations"):
        (ours / folder).mkdir()
    for name in ("video01", "video02", "video03"):
        shutil.copy(clip, ours / f"videos/{name}.mp4")
    for name, frames in (("video02", 20), ("video03", 100)):
        rows = "".join(f"{n}\t0\n" for n in range(frames))
        (ours / f"phase_annotations/{name}-phase.txt").write_text(rows)
    settings("cholec80", "scheme: lists, train: [video01], test: [video02]")
    fails(
        r"3 problems(.|\n)*video01-phase\.txt: missing(.|\n)*0\.80 s long.* 2\.00 s: shorter"
        r"(.|\n)*4\.00 s long.* 2\.00 s: longer"
    )


def test_real_cataract101_tables_are_read(shared_data):
    runs, phases, about, problems = cataract101.read_tables(shared_data / "labels/cataract101")
    assert not problems and len(phases) == 10 and len(runs) == 60
    first = runs["269"]
    assert first[0].start_s == 68 / 25  # what comes before is unlabelled
    assert first[0].end_s == 1043 / 25 == first[1].start_s
    assert first[-1].end_s == 14734 / 25
    assert {row["Experience"] for row in about.values()} == {"1", "2"}


def test_cataract101_end_to_end_with_surgeon_and_experience(ours, clip):
    (ours / "videos").mkdir()
    for file in list(ours.glob("*.*")):
        file.unlink()
    for name in ("case_269", "case_270"):
        shutil.copy(clip, ours / f"videos/{name}.mp4")
    (ours / "phases.csv").write_text("Phase;Meaning\n1;Incision\n2;Rhexis\n")
    (ours / "videos.csv").write_text(
        "VideoID;Frames;FPS;Surgeon;Experience\n269;50;25;4;1\n270;50;25;2;2\n"
    )
    starts = "VideoID;FrameNo;Phase\n269;5;1\n269;25;2\n270;0;1\n"
    (ours / "annotations.csv").write_text(starts)
    settings("cataract101", 'scheme: lists, train: ["269"], test: ["270"]')
    stage.run()
    assert read_labels().to_numpy().tolist() == [
        ["269", 0.2, 1, "Incision"],
        ["269", 1, 2, "Rhexis"],
        ["270", 0, 2, "Incision"],
    ]
    assert read_videos()["surgeon"].tolist() == [4, 2]
    (ours / "annotations.csv").write_text(starts + "270;10;3\n270;60;2\n")
    fails(r"annotations\.csv:5: unknown phase '3'(.|\n)*:6: starts at frame 60, but")


def test_probe_counts_packets_and_says_what_is_wrong(shared_data):
    found = probe(shared_data / "decode/video_90.mov")
    assert (found.width, found.height, found.frames) == (320, 568, 3)
    assert probe(shared_data / "clips/VID18_166.mp4").duration_s == 32
    assert probe(shared_data / "decode/zero_bytes.webm").problem == "zero bytes"
    assert probe(shared_data / "decode/audio_only.mp3").problem == "only audio"
    assert probe(shared_data / "decode/empty_262_bytes.mp4").problem == "no video stream"


def test_hashes_are_remembered_until_a_file_changes(ours, monkeypatch):
    files = [ours / "v1.mp4", ours / "v2.mp4"]
    first = hashes.content_hashes(files, "none")
    monkeypatch.setattr(hashes, "file_hash", lambda _: pytest.fail("read again"))
    assert hashes.content_hashes(files, "none") == first
    monkeypatch.undo()
    monkeypatch.setenv("DVC_ROOT", str(ours.parents[1]))
    files[0].write_bytes(b"other")
    assert hashes.content_hashes(files, "none")[files[0]] != first[files[0]]
    (ours.parents[1] / ".store/hashes.json").write_text("{broken")
    assert hashes.content_hashes(files[1:], "none") == {files[1]: first[files[1]]}


def test_tables_survive_a_video_called_by_a_number(ours):
    (ours / "v1.mp4").rename(ours / "007.mp4")
    table(ours, "007,0,1,A,train", "v2,0.5,2,A,test")
    stage.run()
    assert read_splits()["video"].tolist() == ["007", "v2"]
    assert pd.read_csv("data/index/videos.csv", dtype=str)["video"].tolist() == ["007", "v2"]


def test_cholec80_tools_are_read_where_they_are_there(tmp_path, monkeypatch, clip):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    folder = tmp_path / "data/ours"
    rows = "".join(f"{frame}\tPreparation\n" for frame in range(50))
    for video in ("v1", "v2"):
        (folder / "phase_annotations").mkdir(parents=True, exist_ok=True)
        (folder / "videos").mkdir(exist_ok=True)
        shutil.copy(clip, folder / f"videos/{video}.mp4")
        (folder / f"phase_annotations/{video}-phase.txt").write_text("Frame\tPhase\n" + rows)
    settings("cholec80", "scheme: lists, train: [v1], test: [v2]")
    stage.run()
    assert read_tools().empty and list(read_tools().columns) == ["video", "time_s"]
    tools = folder / "tool_annotations"
    tools.mkdir()
    (tools / "v1-tool.txt").write_text("Frame\tHook\tClipper\n0\t1\t0\n25\t0\t1\n")
    assert "no tool labels in data/ours/tool_annotations for v2" in stage.run()
    assert read_tools().to_numpy().tolist() == [["v1", 0, 1, 0], ["v1", 1, 0, 1]]
    (tools / "v2-tool.txt").write_text("Frame\tHook\tClipper\n0\t1\t2\n")
    fails(r"v2-tool\.txt:2: found '0\\t1\\t2', expected a frame number and 0 or 1")
    (tools / "v2-tool.txt").write_text("Frame\tHook\n0\t1\n")
    fails(r"v2-tool\.txt:1: tools Hook, but the files before it have Hook, Clipper")


def test_real_tool_annotations_have_seven_tools_each_second(shared_data):
    names, rows = cholec80.read_tool_labels(
        shared_data / "cholec80-mini/tool_annotations/video01-tool.txt"
    )
    assert len(names) == 7 and names[0] == "Grasper"
    assert [time_s for time_s, _ in rows[:3]] == [0, 1, 2]
    assert {len(present) for _, present in rows} == {7}


def test_a_frozen_backbone_reads_no_label_and_a_trained_one_none_of_a_test_video(ours):
    def tables():
        folder = Path("data/index")
        return {path.name: path.read_text() for path in folder.glob("labels_for_*.csv")}

    stage.run()
    first = tables()
    table(ours, "v1,0,1,A,train", "v1,1,2,B,train", "v2,0.5,2,B,test")
    stage.run()
    assert tables() == first
    table(ours, "v1,0,1.5,A,train", "v1,1.5,2,B,train", "v2,0.5,2,B,test")
    stage.run()
    changed = {name for name, text in tables().items() if text != first[name]}
    assert changed == {"labels_for_finetune.csv", "labels_for_finetune_adabn.csv"}
