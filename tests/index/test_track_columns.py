"""Further columns of the generic table become tracks."""

from pathlib import Path

import pytest
from index_project import fails, table

from pipeline.index import stage

INDEX = Path("data/index")
HEADER = "video,start_s,end_s,phase,step,split"


def read(name):
    return (INDEX / name).read_text().splitlines()


def test_a_row_for_each_step_gives_runs_of_both(ours):
    rows = ["v1,0,0.5,A,cut,train", "v1,0.5,1,A,,train", "v1,1,1.5,A,sew,train"]
    table(ours, *rows, "v1,1.5,2,,sew,train", "v2,0,2,B,cut,test", header=HEADER)
    assert "2 classes of step" in stage.run()
    assert read("labels.csv")[1:] == ["v1,0,1.5,A", "v2,0,2,B"]
    assert read("tracks.csv") == [
        "track,video,start_s,end_s,label",
        "step,v1,0,0.5,cut",
        "step,v1,1,2,sew",
        "step,v2,0,2,cut",
    ]
    assert read("track_classes.csv") == ["track,label", "step,cut", "step,sew"]
    assert read("phases.csv") == ["phase", "A", "B"]


def test_phases_and_steps_may_stand_in_rows_of_their_own(ours):
    rows = ["v1,0,2,A,,train", "v1,0.3,0.7,,cut,train", "v2,0,2,A,,test"]
    table(ours, *rows, header=HEADER)
    stage.run()
    assert read("labels.csv")[1:] == ["v1,0,2,A", "v2,0,2,A"]
    assert read("tracks.csv")[1:] == ["step,v1,0.3,0.7,cut"]


def test_frames_have_a_label_in_each_track(ours):
    rows = [f"v1,{i},A,{'cut' if i < 25 else ''},train" for i in range(50)]
    table(ours, *rows, "v2,0,A,sew,test", header="video,frame,phase,step,split")
    stage.run()
    assert read("labels.csv")[1] == "v1,0,2,A"
    assert read("tracks.csv")[1:] == ["step,v1,0,1,cut", "step,v2,0,0.04,sew"]


def test_a_table_of_phases_alone_has_empty_tracks(ours):
    stage.run()
    assert read("labels.csv")[1:] == ["v1,0,1,A", "v1,1,2,B", "v2,0.5,2,A"]
    assert read("tracks.csv") == ["track,video,start_s,end_s,label"]
    assert read("track_classes.csv") == ["track,label"]


@pytest.mark.parametrize(
    ("rows", "header", "message"),
    [
        (["v1,0,1,A,x,train"], "video,start_s,end_s,phase,the step,split", "of letters, digits"),
        (["v1,0,1,A,x,train"], "video,start_s,end_s,phase,phase,split", "each once"),
        (["v1,0,1,,,train"], HEADER, "phases.csv:2: has no phase and no step"),
        (["v1,0,1,A,x,train", "v1,0.5,1,,y,train"], HEADER, "y starts at 0.5 s, but x goes on"),
        (["v1,0,1,,x,train", "v2,0,1,,x,test"], HEADER, "no row has a phase"),
    ],
)
def test_what_is_wrong_with_tracks_is_named(ours, rows, header, message):
    table(ours, *rows, header=header)
    fails(message)
