"""The command `view`: which video, prediction and labels it shows, and where the page goes."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner
from videos import write_video

from pipeline.cli import app
from pipeline.errors import PipelineError
from pipeline.view.inputs import read_shown, read_truth
from pipeline.view.page import View, write_view
from pipeline.view.playable import why_not_played

TABLE = "time_s,prediction,p_A,p_B\n0,A,0.9,0.1\n1,,0.5,0.5\n2,B,0.2,0.8\n3,B,0.4,0.6\n"


@pytest.fixture
def indexed(workplace):
    """A dataset of one video with labels, its prediction, and another video on the desk."""
    write_video(Path("ours/videos/v1.mp4"), 100)
    write_video(Path("desk/w.mp4"), 100)
    Path("params.yaml").write_text("data: {root: ours, layout: csv}\n")
    for path, text in {
        "data/index/videos.csv": "video,path,sha256,width,height,fps,frames,duration_s,problem\n"
        "v1,videos/v1.mp4,0,160,64,25,100,4,\n",
        "data/index/labels.csv": "video,start_s,end_s,phase\nv1,0,2,A\nv1,3,4,B\n",
        "reports/predictions/v1.csv": TABLE,
        "desk/w.csv": TABLE,
    }.items():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(text)
    return workplace


def data_of(page):
    text = re.search(r'id="data">(.*?)</script>', Path(page).read_text()).group(1)
    return json.loads(text)


def test_a_video_of_the_dataset_has_its_page_outside_of_the_dataset(indexed):
    for asked in ("v1", "ours/videos/v1.mp4"):
        result = CliRunner().invoke(app, ["view", asked])
        assert result.exit_code == 0, result.output
        page = Path("reports/view/v1.html")
        assert result.output == f"Open {page.resolve()}\n"
        data = data_of(page)
        assert data["prediction"] == [[0, 1, 2], [0, -1, 1]]  # what was left open stays open
        assert data["truth"] == [[0, 2, 3], [0, -1, 1]]
        assert 'src="../../ours/videos/v1.mp4"' in page.read_text()
        page.unlink()
    assert sorted(p.name for p in Path("ours").rglob("*")) == ["v1.mp4", "videos"]


def test_labels_of_other_phases_than_the_model_knows_are_left_out(indexed):
    table = Path("data/index/labels.csv")
    table.write_text(table.read_text().replace(",B", ",Other"))
    assert read_truth(read_shown("v1", None), None) is None


def test_any_other_video_has_its_page_beside_it(indexed):
    labels = Path("truth.csv")
    labels.write_text("video,start_s,end_s,phase,split\nw,0,1.5,B,train\nother,0,9,C,test\n")
    command = ["view", "desk/w.mp4", "--prediction", "desk/w.csv", "--truth", "truth.csv"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert data_of("desk/w.html")["truth"] == [[0, 2], [1, -1]]
    assert 'src="w.mp4"' in Path("desk/w.html").read_text()


def test_a_copy_that_browsers_play_is_made_where_it_is_asked_for(indexed, shared_data):
    video = shared_data / "decode/hevc.mp4"
    command = ["view", str(video), "--prediction", "desk/w.csv", "--out", "out/page.html"]
    result = CliRunner().invoke(app, command)
    assert "Browsers do not play" in result.output and "--transcode" in result.output
    result = CliRunner().invoke(app, [*command, "--transcode"])
    assert result.exit_code == 0, result.output
    assert "Browsers do not play" not in result.output
    assert why_not_played(Path("out/hevc_h264.mp4")) == ""
    text = Path("out/page.html").read_text()
    assert 'src="hevc_h264.mp4"' in text
    assert data_of("out/page.html")["video"] == "hevc"  # labels are the original's


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        ("decode/test.avi", "coded as MPEG-4"),
        ("decode/apple-prores-422-proxy.mov", "ProRes"),
        ("decode/hevc.mp4", "HEVC"),
        ("clips/endo.mp4", ""),
        ("clips/pigleg_vfr.mp4", ""),
    ],
)
def test_what_browsers_play(shared_data, file, reason):
    found = why_not_played(shared_data / file)
    assert reason in found and bool(found) == bool(reason)


def refuses(match, *asked):
    with pytest.raises(PipelineError, match=match):
        read_shown(*asked)


def test_what_is_missing_is_named_with_the_way_out(indexed):
    refuses(r"v2: none of the 1 videos.*Did you mean v1\?", "v2", None)
    refuses(
        r"predictions/w\.csv: there is no prediction of w\. .*pipeline predict", "desk/w.mp4", None
    )
    refuses(r"no\.csv: there is no prediction of v1", "v1", Path("no.csv"))
    Path("data/index/videos.csv").unlink()
    refuses(r"v1: no such file\. Name a video file", "v1", None)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("p_A,p_B", "a,b", r"no column p_<phase>; expected time_s, prediction"),
        ("2,B", "2,C", r"prediction holds 'C'; allowed: A, B"),
        ("3,B", "2,B", r"time_s must rise"),
        ("0.9", "high", r"p_<phase> are numbers"),
        ("0.9", "nan", r"p_<phase> holds a value that is no finite number"),
    ],
)
def test_tables_that_are_no_predictions_are_refused(indexed, old, new, message):
    Path("desk/w.csv").write_text(TABLE.replace(old, new))
    refuses(rf"w\.csv: .*{message}", "v1", Path("desk/w.csv"))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("video,phase\nv1,A\n", "column start_s, end_s is missing"),
        ("video,start_s,end_s,phase\nv9,0,1,A\n", "has no row of the video v1"),
        ("video,start_s,end_s,phase\nv1,0,1,C\n", "the prediction has no phase C. It has: A, B"),
        ("video,start_s,end_s,phase\nv1,0,x,A\n", "start_s and end_s are seconds"),
        ("video,start_s,end_s,phase\nv1,0,,A\n", "start_s and end_s are seconds"),
    ],
)
def test_labels_that_do_not_fit_are_refused(indexed, table, message):
    Path("truth.csv").write_text(table)
    with pytest.raises(PipelineError, match=rf"truth\.csv: {message}"):
        read_truth(read_shown("v1", None), Path("truth.csv"))


def test_the_same_view_gives_the_same_bytes_and_another_prediction_another_key(indexed):
    video, classes = Path("desk/w.mp4"), ("A", "B")
    shares = np.array([[0.9, 0.1], [0.3, 0.7]])
    pages = []
    for prediction in ([0, 1], [0, 1], [0, 0]):
        write_view(
            View(video, 1.0, np.array([0.0, 1.0]), classes, np.array(prediction), shares),
            Path("page.html"),
        )
        pages.append((Path("page.html").read_bytes(), data_of("page.html")["key"]))
    assert pages[0] == pages[1] and pages[0][1] != pages[2][1]
    with pytest.raises(ValueError, match=r"lengths \[1, 2\]"):
        View(video, 1.0, np.array([0.0]), classes, np.array([0, 1]), shares)
