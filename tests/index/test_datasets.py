"""Layouts of published data sets, on their own files and on small ones of their shape."""

import re
import shutil
from pathlib import Path

import pytest
from index_project import fails, settings

from pipeline.errors import PipelineError
from pipeline.index import stage
from pipeline.index.layouts import cataract101, cholec80
from pipeline.index.layouts.dataset import Run
from pipeline.phases import CHOLEC80
from pipeline.tables import read_labels, read_phases, read_tools, read_videos


def test_real_cholec80_is_read_as_it_lies(shared_data, workplace):
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
    runs, phases, details, problems = cataract101.read_tables(shared_data / "labels/cataract101")
    assert not problems and len(phases) == 10 and len(runs) == 60
    first = runs["269"]
    assert first[0].start_s == 68 / 25  # what comes before is unlabelled
    assert first[0].end_s == 1043 / 25 == first[1].start_s
    assert first[-1].end_s == 14734 / 25
    assert {row["Experience"] for row in details.values()} == {"1", "2"}


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


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("270;fifty;25;2;2", r"3: Frames 'fifty', expected a whole number above 0\.$"),
        ("270;50;25,0;2;2", r"3: FPS '25,0', expected a number above 0, such as 25\.$"),
        ("270;50;0;2;2", r"3: FPS '0'"),
        ("270;50", r"3: found '270;50', expected a value for each of VideoID, Frames, FPS"),
    ],
)
def test_a_number_of_cataract101_that_is_none_is_named_by_line_and_column(tmp_path, row, message):
    (tmp_path / "phases.csv").write_text("Phase;Meaning\n1;Incision\n")
    (tmp_path / "videos.csv").write_text(
        f"VideoID;Frames;FPS;Surgeon;Experience\n269;50;25;4;1\n{row}\n"
    )
    (tmp_path / "annotations.csv").write_text("VideoID;FrameNo;Phase\n269;5;1\n270;0;1\n")
    (problem,) = cataract101.read_tables(tmp_path)[3]
    assert re.search(rf"videos\.csv:{message}", problem)


def test_cholec80_tools_are_read_where_they_are_there(workplace, clip):
    folder = workplace / "data/ours"
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
