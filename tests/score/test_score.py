"""Predictions of other programs, the official figures among them, and files that do not fit."""

import json
import sys

import numpy as np
import pytest

from pipeline import cli
from pipeline.errors import PipelineError
from pipeline.phases import CHOLEC80
from pipeline.score.label_files import find_files, read_cholec80
from pipeline.score.scoring import score
from pipeline.score.video_labels import score_videos


def test_the_official_figures_of_twenty_real_videos(shared_data, tmp_path, monkeypatch, capsys):
    folder, out = shared_data / "labels/cholec80", tmp_path / "out.json"
    arguments = [str(folder / "tmrnet"), str(folder / "gt"), "--skip-first-line"]
    monkeypatch.setattr(sys, "argv", ["surgphase", "score", *arguments, "--json", str(out)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 0
    found = json.loads(out.read_text())
    official = found["relaxed"]["official"]
    assert found["videos"] == 20 and found["label_fps"] == 1
    assert f"{100 * official['accuracy']['mean']:.2f}" == "87.00"
    assert f"{100 * official['jaccard']['mean']:.2f}" == "75.32"
    assert f"{100 * found['relaxed']['corrected']['jaccard']['std']:.2f}" == "6.00"
    assert f"{100 * found['frame']['accuracy']['mean']:.3f}" == "85.953"
    assert f"{100 * found['segment']['edit']['mean']:.3f}" == "16.930"
    printed = capsys.readouterr().out
    assert "20 videos, 1 labels per second" in printed and "86.0 ± 11.4 %" in printed


def lines(pairs, header=""):
    return header + "".join(f"{frame}\t{phase}\n" for frame, phase in pairs)


@pytest.fixture
def folders(tmp_path):
    (tmp_path / "gt").mkdir()
    (tmp_path / "pred").mkdir()
    truth = [(n, CHOLEC80[0] if n < 250 else CHOLEC80[1]) for n in range(500)]
    (tmp_path / "gt/video01-phase.txt").write_text(lines(truth, "Frame\tPhase\n"))
    (tmp_path / "pred/video01.txt").write_text(lines((n, int(n >= 300)) for n in range(0, 500, 25)))
    return tmp_path


def scored(folder):
    return score(folder / "pred", folder / "gt", "cholec80", False)


def test_names_and_numbers_headers_and_rates_meet_by_frame_number(folders):
    found = scored(folders)
    assert found.label_fps == 1 and found.metrics["frames"] == 20
    assert found.metrics["frame"]["accuracy"]["mean"] == 0.9


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("pred/video02.txt", "0\t0\n25\t0\n", "no truth of video02; it holds video01"),
        ("pred/video01-phase.txt", "0\t0\n", "are both of video01"),
        ("pred/video01.txt", "0\t0\n25\tCutting\n", r"line 2: found '25 Cutting'.*0 to 6 or Prep"),
        ("pred/video01.txt", "0\t7\n", "line 1: found '0 7'"),
        ("pred/video01.txt", "", "no labels in it"),
        ("pred/video01.txt", "25\t0\n0\t0\n", "0 comes after 25; times must rise"),
        (
            "pred/video01.txt",
            "0\t0\n25\t0\n600\t0\n",
            r"frame 600 is not in .*frame 499",
        ),
        (
            "pred/video01.txt",
            lines((n, 0) for n in range(0, 400, 25)),
            "missing near frame 375, where",
        ),
        (
            "pred/video01.txt",
            lines((n, 0) for n in range(0, 500, 25) if n != 200),
            "missing near frame 175, where",
        ),
        ("pred/video01.txt", b"\xff\xfe\x00", "not a readable text file"),
    ],
)
def test_files_that_do_not_fit_are_named(folders, file, content, message):
    path = folders / file
    path.write_bytes(content) if isinstance(content, bytes) else path.write_text(content)
    with pytest.raises(PipelineError, match=message):
        scored(folders)


def test_two_rates_are_not_mixed(folders):
    truth = (folders / "gt/video01-phase.txt").read_text()
    for name in ("video02", "video03"):
        (folders / f"gt/{name}-phase.txt").write_text(truth)
        (folders / f"pred/{name}.txt").write_text(lines((n, 0) for n in range(0, 500, 25)))
    (folders / "pred/video02.txt").write_text(lines((n, 0) for n in range(0, 500, 5)))
    with pytest.raises(PipelineError, match=r"video02.txt: 5 labels per second, the others have 1"):
        scored(folders)


def test_nothing_there_is_an_error(tmp_path):
    with pytest.raises(PipelineError, match="not found"):
        find_files(tmp_path / "none", ".txt")
    with pytest.raises(PipelineError, match=r"no \*\.txt file in it"):
        find_files(tmp_path, ".txt")


def test_the_first_line_is_dropped_when_asked(tmp_path):
    path = tmp_path / "v.txt"
    path.write_text("0 0\n25 1\n50 1\n")
    assert read_cholec80(path, False).key.tolist() == [0, 25, 50]
    assert read_cholec80(path, True).key.tolist() == [25, 50]


def test_tables_with_probabilities_give_what_the_report_gives(evaluated):
    found = score(
        evaluated / "reports/predictions", evaluated / "reports/predictions", "csv", False
    )
    report = json.loads((evaluated / "reports/details.json").read_text())["test"]
    assert found.classes == CHOLEC80
    for group in ("accuracy", "f1"):
        assert found.metrics["frame"][group]["mean"] == report["frame"][group]["mean"]
    assert (
        found.metrics["relaxed"]["official"]["jaccard"]["mean"]
        == (report["relaxed"]["official"]["jaccard"]["mean"])
    )
    # Probabilities are written with six digits.
    ece = found.metrics["calibration"]["ece"], report["calibration"]["ece"]
    assert ece[0] == pytest.approx(ece[1], abs=1e-5)


def test_a_table_without_its_columns_or_with_an_unknown_phase_is_named(tmp_path):
    truth, found = tmp_path / "t.csv", tmp_path / "p.csv"
    truth.write_text("time_s,phase\n0,a\n1,b\n")
    found.write_text("time_s,label\n0,a\n1,b\n")
    with pytest.raises(PipelineError, match="columns time_s, label; expected time_s and predic"):
        score(found, truth, "csv", False)
    found.write_text("time_s,prediction\n0,a\n1,c\n")
    with pytest.raises(PipelineError, match=r"p.csv: line 3: found 'c'.*one of a, b"):
        score(found, truth, "csv", False)
    found.write_text("time_s,prediction\n0,a\n1,b\n")
    assert score(found, truth, "csv", False).metrics["frame"]["accuracy"]["mean"] == 1


def test_one_label_per_video(tmp_path):
    truth, found = tmp_path / "t.csv", tmp_path / "p.csv"
    truth.write_text("video,truth,surgeon\n1,novice,A\n2,expert,B\n3,expert,B\n4,novice,A\n")
    found.write_text(
        "video,prediction,p_novice,p_expert\n"
        "1,novice,.9,.1\n2,expert,.2,.8\n3,novice,.6,.4\n4,novice,.7,.3\n"
    )
    metrics = score_videos(found, truth)
    assert metrics["accuracy"]["value"] == 0.75 and metrics["roc_auc"]["value"] == 1
    assert metrics["confusion"]["expert"] == {"novice": 1, "expert": 1}
    assert metrics["surgeons"]["each"]["B"] == {"accuracy": 0.5, "videos": 2}
    truth.write_text("video,truth\n1,novice\n")
    with pytest.raises(PipelineError, match="2, 3, 4 is in one of them only"):
        score_videos(found, truth)
    assert np.isfinite(metrics["accuracy"]["ci_low"])
