import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from index_project import LISTS, fails, settings, table
from videos import write_video

from pipeline.index import known_files, stage
from pipeline.index import probe as probing
from pipeline.index.known_files import KnownFiles
from pipeline.index.layouts.dataset import Dataset
from pipeline.index.params import SplitParams
from pipeline.index.probe import probe
from pipeline.index.splits import split_videos
from pipeline.tables import read_labels, read_phases, read_splits, read_videos


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


def test_probe_counts_packets_and_says_what_is_wrong(shared_data):
    found = probe(shared_data / "decode/video_90.mov")
    assert (found.width, found.height, found.frames) == (320, 568, 3)
    assert probe(shared_data / "clips/VID18_166.mp4").duration_s == 32
    assert probe(shared_data / "decode/zero_bytes.webm").problem == "zero bytes"
    assert probe(shared_data / "decode/audio_only.mp3").problem == "only audio"
    assert probe(shared_data / "decode/empty_262_bytes.mp4").problem == "no video stream"


def known(files):
    with KnownFiles() as found:
        return found.sha256(files, "none"), [found.probe(file) for file in files]


def test_hashes_and_probes_are_remembered_until_a_file_changes(ours, monkeypatch):
    files = [ours / "v1.mp4", ours / "v2.mp4"]
    hashes, probes = known(files)
    with monkeypatch.context() as patch:
        for name in ("file_hash", "probe"):
            patch.setattr(known_files, name, lambda _: pytest.fail("read again"))
        assert known(files) == (hashes, probes)
    files[0].write_bytes(b"other")
    changed, probed = known(files)
    assert changed[files[0]] != hashes[files[0]] and changed[files[1]] == hashes[files[1]]
    assert probed[0].problem and probed[1] == probes[1]
    (ours.parents[1] / ".store/videos.json").write_text("{broken")
    assert known(files[1:]) == ({files[1]: hashes[files[1]]}, probes[1:])


def test_a_corrected_label_opens_no_video(ours, monkeypatch):
    stage.run()
    table(ours, "v1,0,1.5,A,train", "v1,1.5,2,B,train", "v2,0.5,2,A,test")
    monkeypatch.setattr(probing.av, "open", lambda *_: pytest.fail("a video was opened"))
    stage.run()
    assert read_labels()["end_s"].tolist() == [1.5, 2, 2]
    assert read_videos()["frames"].tolist() == [50, 50]
    stage.survey()


def test_another_prober_reads_the_videos_again(ours, monkeypatch):
    stage.run()
    opened = []
    monkeypatch.setattr(known_files, "code_hash", lambda _: "other")
    monkeypatch.setattr(known_files, "probe", lambda file: opened.append(file) or probe(file))
    monkeypatch.setattr(known_files, "file_hash", lambda _: pytest.fail("hashed again"))
    stage.run()
    assert len(opened) == 2


def test_times_of_a_variable_rate_are_remembered_exactly(shared_data, workplace):
    path = shared_data / "clips/pigleg_vfr.mp4"
    _, (found,) = known([path])
    assert len(found.frame_times_s) == found.frames == 112
    assert found.frame_times_s[:3] == (0, 0.0667, 0.100034)
    assert known([path])[1] == [found]
    assert probe(shared_data / "clips/endo.mp4").frame_times_s == ()


def test_labels_of_frames_meet_a_variable_rate_by_time(ours, shared_data):
    """At the average rate the boundary would be a frame away."""
    (ours / "v1.mp4").unlink()
    shutil.copy(shared_data / "clips/pigleg_vfr.mp4", ours / "v1.mp4")
    rows = [f"v1,{n},{'A' if n < 30 else 'B'},train" for n in range(112)]
    table(ours, *rows, "v2,0,A,test", header="video,frame,phase,split")
    stage.run()
    times = probe(ours / "v1.mp4").frame_times_s
    labels = read_labels()
    assert labels.loc[0, "end_s"] == labels.loc[1, "start_s"] == times[30]
    assert abs(times[30] - 30 / probe(ours / "v1.mp4").fps) > 0.03
    assert labels.loc[1, "end_s"] == pytest.approx(probe(ours / "v1.mp4").duration_s, abs=1e-6)


def test_hidden_files_are_no_videos_and_no_tables(ours, clip):
    """macOS writes such files onto disks of other systems."""
    before = stage.run()
    for name in ("._v1.mp4", ".v3.mp4", "._phases.csv"):
        shutil.copy(clip, ours / name)
    (ours / ".Trashes").mkdir()
    shutil.copy(clip, ours / ".Trashes/v1.mp4")
    assert stage.run() == before
    (ours / "phases.csv").rename(ours / "ours.csv")
    assert stage.run() == before


def test_a_file_that_is_cut_off_has_the_length_it_promises(tmp_path):
    path = tmp_path / "v.mp4"
    write_video(path, 100, faststart=True)
    whole = probe(path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 3 // 4])
    cut = probe(path)
    assert (cut.frames, cut.duration_s) == (whole.frames, whole.duration_s) == (100, 4)
    assert re.fullmatch(r"holds \d+ of the 100 frames it lists", cut.problem)


def test_tables_survive_a_video_called_by_a_number(ours):
    (ours / "v1.mp4").rename(ours / "007.mp4")
    table(ours, "007,0,1,A,train", "v2,0.5,2,A,test")
    stage.run()
    assert read_splits()["video"].tolist() == ["007", "v2"]
    assert pd.read_csv("data/index/videos.csv", dtype=str)["video"].tolist() == ["007", "v2"]


def test_a_frozen_backbone_reads_no_label_and_a_trained_one_none_of_a_test_video(ours):
    def tables():
        folder = Path("data/index")
        return {path.stem[9:]: path.read_text() for path in folder.glob("backbone_*.csv")}

    stage.run()
    first = tables()
    table(ours, "v1,0,1,A,train", "v1,1,2,B,train", "v2,0.5,2,B,test")
    stage.run()
    assert tables() == first
    table(ours, "v1,0,1.5,A,train", "v1,1.5,2,B,train", "v2,0.5,2,B,test")
    stage.run()
    changed = {mode for mode, text in tables().items() if text != first[mode]}
    assert changed == {"finetune", "finetune_adabn"}
    content = (ours / "v2.mp4").read_bytes()
    (ours / "v2.mp4").write_bytes(content + b"more")
    before = tables()
    stage.run()
    changed = {mode for mode, text in tables().items() if text != before[mode]}
    assert changed == {"adabn", "finetune_adabn"}  # only these see a test video
    assert "v2" not in tables()["finetune"] and "v1" in tables()["finetune"]
    assert tables()["frozen"] == "video\n"
