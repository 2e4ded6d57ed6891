"""The command on a small project: what it extracts, what it reads, and what it leaves alone."""

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from features_project import add_video, make_project

from pipeline.backbone import stage as backbone_stage
from pipeline.backbone.params import BackboneParams
from pipeline.errors import PipelineError
from pipeline.features import stage as features_stage
from pipeline.paths import PROBE
from pipeline.probe import probing
from pipeline.probe.extraction import candidates
from pipeline.probe.probing import probe
from pipeline.probe.wording import HEADS, notes, show, table_of
from pipeline.tables import write_table


@pytest.fixture(scope="module")
def _made(tmp_path_factory):
    """The folder of `project`, made once."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as here:
        here.chdir(folder)
        here.setenv("DVC_ROOT", str(folder))
        write_project(folder)
    return folder


def write_project(folder):
    make_project(folder)
    add_video(folder, "video2", 12, 2)
    index = folder / "data/index"
    (index / "splits.csv").write_text("video,split\nvideo0,train\nvideo1,test\nvideo2,val\n")
    runs = [(f"video{i}", s, s + 5, "AB"[s // 5 % 2]) for i in range(3) for s in (0, 5, 10, 15)]
    columns = ["video", "start_s", "end_s", "phase"]
    write_table(pd.DataFrame(runs, columns=columns), index / "labels.csv")
    write_table(pd.DataFrame({"phase": ["A", "B"]}), index / "phases.csv")
    features_stage.run()


@pytest.fixture
def project(_made, workplace):
    """video0 for training, video1 for testing, video2 for validation; features of resnet18."""
    shutil.copytree(_made, workplace, dirs_exist_ok=True)
    return workplace


# Another family's smallest, which is computed in no time.
OTHER = "shufflenet_v2_x0_5"


def stored():
    return {path.stem for path in Path(".store/features").glob("*.h5")}


def hashes(*folders):
    files = [file for folder in folders for file in sorted(Path(folder).rglob("*"))]
    return {f: hashlib.sha256(f.read_bytes()).hexdigest() for f in files if f.is_file()}


def told(rows):
    """All but what was timed."""
    return [replace(row, probe_ms=0) for row in rows]


def rename_backbone(project, name):
    params = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(params.replace("name: resnet18", f"name: {name}"))


def test_missing_features_are_computed_once_and_then_found(project, capsys):
    before = stored()
    first = probe(f"resnet18,{OTHER}=random", "val")
    assert len(stored() - before) == 3
    assert [row.images_per_s is None for row in first] == [True, False]
    assert [(row.backbone, row.dim) for row in first] == [("resnet18", 512), (OTHER, 1024)]
    again = probe(OTHER, "val")
    assert again[0].images_per_s is None
    assert again[0].probed == first[1].probed


def test_a_later_repro_with_a_probed_backbone_computes_nothing(project):
    probe(OTHER, "val")
    known = stored()
    rename_backbone(project, OTHER)
    backbone_stage.run()
    assert "0 computed" in features_stage.run()
    assert stored() == known
    (row,) = probe(None, "val")
    assert row.backbone == OTHER


def test_what_a_repro_left_behind_stays_as_it_is(project):
    before = hashes("models", "features", "data"), (project / "params.yaml").read_text()
    probe(OTHER, "val")
    assert (hashes("models", "features", "data"), (project / "params.yaml").read_text()) == before
    assert not list(Path(".store").glob("probe-*"))


def test_test_videos_are_read_when_they_are_asked_for_and_not_before(project):
    alone, listed = probe(None, "val"), probe("resnet18", "val")
    assert told(alone) == told(listed)
    on_test = probe(None, "test")
    assert on_test[0].probed.frames == 10 != alone[0].probed.frames
    Path("features/videos/video1.h5").write_bytes(b"no features at all")
    labels = Path("data/index/labels.csv")
    labels.write_text(labels.read_text().replace("video1,0,5,A", "video1,0,5,B"))
    assert told(probe(None, "val")) == told(alone)
    with pytest.raises(PipelineError, match="video1"):
        probe(None, "test")


def test_the_file_holds_the_rows(project):
    (row,) = probe(None, "val")
    content = json.loads(PROBE.read_text())
    assert content["split"] == "val"
    (written,) = content["backbones"]
    assert written["probed"]["linear"]["accuracy"] == row.probed.linear.accuracy
    assert written["probed"]["linear"]["interval"] is None  # a single video
    assert written["images_per_s"] is None and written["weights"] == "random"


def test_names_take_their_weights_from_params_yaml_unless_they_bring_some(project):
    assert candidates("resnet50=IMAGENET1K_V2, resnet18,resnet18+resnet34") == [
        BackboneParams(name="resnet50", weights="IMAGENET1K_V2"),
        BackboneParams(name="resnet18", weights="random"),
        BackboneParams(name=["resnet18", "resnet34"], weights="random"),
    ]
    rename_backbone(project, "[resnet18, resnet34], weights: [random, random]")
    params = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(params.replace(", weights: random, mode", ", mode"))
    with pytest.raises(PipelineError, match=r"resnet18 without weights, and backbone.weights"):
        candidates("resnet18")


def test_networks_that_read_clips_are_refused(project):
    with pytest.raises(PipelineError, match=r"'r3d_18'. Allowed: networks that read single images"):
        candidates("resnet18,r3d_18")


def test_a_hybrid_takes_what_is_known_of_its_networks(project):
    probe(OTHER, "val")
    (row,) = probe(f"resnet18+{OTHER}", "val")
    assert (row.backbone, row.dim, row.images_per_s) == (f"resnet18+{OTHER}", 1536, None)


def test_a_slip_in_the_last_name_costs_no_extraction(project, monkeypatch):
    monkeypatch.setattr(probing, "extract", lambda *_: pytest.fail("features were computed"))
    with pytest.raises(PipelineError, match=r"--backbones: found 'resnet43'. Did you mean resnet"):
        probe("resnet34,resnet43", "val")
    with pytest.raises(PipelineError, match="found 'NO_SUCH_WEIGHTS'"):
        probe("resnet34,resnet18=NO_SUCH_WEIGHTS", "val")


def test_a_project_without_features_says_what_makes_them(workplace):
    (workplace / "params.yaml").write_text("runtime: {threads: 1}\n")
    with pytest.raises(PipelineError, match=r"holds no features. Run `dvc repro features`"):
        probe(None, "val")


def test_the_best_row_is_marked_and_the_split_is_named(project, capsys):
    (row,) = probe(None, "val")
    better = replace(row.probed, linear=replace(row.probed.linear, accuracy=0.99))
    rows = [row, replace(row, backbone="better", probed=better, images_per_s=12.34)]
    table = table_of(rows)
    assert table[0] == HEADS and [line[-1] for line in table[1:]] == ["", "best"]
    assert table[2][0] == "better" and "12.3" in table[2] and "cached" in table[1]
    assert table_of([row])[1][-1] == ""
    assert "Test videos took no part" in notes(rows, "val")
    assert "Do not choose a backbone by this table" in notes(rows, "test")
    show(rows, "val", md=True)
    assert capsys.readouterr().out.startswith("| backbone | weights |")
    show(rows, "val", md=False)
    assert capsys.readouterr().out.startswith("backbone  weights")
