"""Two reports compared: folders, revisions, experiments, and what cannot be compared."""

import hashlib
import json
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from pipeline import cli
from pipeline.compare.comparison import Difference, compare
from pipeline.compare.reports import read_report
from pipeline.compare.wording import as_markdown, as_text
from pipeline.errors import PipelineError
from pipeline.metrics.table import metric
from pipeline.phases import CHOLEC80


def write_report(folder, videos, fps=1.0):
    """A report in which each video is (truth, prediction) by class."""
    names = np.array([*CHOLEC80, ""])
    (folder / "reports/predictions").mkdir(parents=True)
    for video, (truth, prediction) in videos.items():
        table = pd.DataFrame(
            {"time_s": np.arange(len(truth)) / fps, "truth": names[truth]}
            | {"prediction": names[prediction]}
            | {f"p_{p}": (np.array(prediction) == i) * 1.0 for i, p in enumerate(CHOLEC80)}
        )
        table.to_csv(folder / f"reports/predictions/{video}.csv", index=False)
    metrics = {"test": {"label_fps": fps, "relaxed": {"seconds": 10}}}
    (folder / "reports/details.json").write_text(json.dumps(metrics))
    return read_report(str(folder))


@pytest.fixture
def reports(tmp_path):
    """B makes half of A's errors in each of four videos."""
    truth = np.repeat([0, 1], 50)
    a = {f"v{i}": (truth, np.repeat([0, 1], [30 - 4 * i, 70 + 4 * i])) for i in range(4)}
    b = {f"v{i}": (truth, np.repeat([0, 1], [40 - 2 * i, 60 + 2 * i])) for i in range(4)}
    return write_report(tmp_path / "a", a), write_report(tmp_path / "b", b)


def test_a_change_that_helps_every_video_is_clearly_better(reports):
    found = compare(*reports)
    accuracy = found.whole[0]
    assert accuracy.name == "Accuracy" and found.num_videos == 4
    assert accuracy.change == pytest.approx(np.mean([(10 + 2 * i) / 100 for i in range(4)]))
    # Each draw's difference is a mean of the four videos' differences.
    assert 0.10 <= accuracy.low < accuracy.change < accuracy.high <= 0.16
    assert accuracy.verdict == "better"
    assert [d.name for d in found.by_video] == ["v3", "v2", "v1", "v0"]
    assert {d.name for d in found.by_phase[:2]} == set(CHOLEC80[:2])
    assert np.isnan(found.by_phase[-1].change)


def test_the_paired_interval_is_narrower_than_single_ones_suggest(tmp_path):
    generator = np.random.default_rng(1)
    truth = np.repeat([0, 1], 50)
    a, b = {}, {}
    for i in range(12):
        wrong = generator.permutation(100)[: generator.integers(5, 80)]
        worse, better = truth.copy(), truth.copy()
        worse[wrong] = 2
        better[wrong[:-4]] = 2  # always four frames fewer
        a[f"v{i:02}"], b[f"v{i:02}"] = (truth, worse), (truth, better)
    found = compare(write_report(tmp_path / "a", a), write_report(tmp_path / "b", b)).whole[0]
    assert found.change == pytest.approx(0.04)
    assert found.high - found.low < 1e-9


def test_a_report_against_itself_changes_nothing(reports):
    found = compare(reports[0], reports[0])
    assert all(d.change == 0 and d.verdict == "" for d in found.whole)
    assert "No video changed its accuracy." in as_text(found)


def test_errors_and_flicker_are_better_when_they_fall():
    distance, accuracy = metric("boundary.median_s"), metric("frame.accuracy.mean")
    assert Difference(distance, "", 5, 3, -3, -1).verdict == "better"
    assert Difference(accuracy, "", 0.5, 0.3, -0.3, -0.1).verdict == "worse"
    assert Difference(accuracy, "", 0.5, 0.6, -0.1, 0.3).verdict == ""


def test_markdown_has_a_rule_below_every_head(reports):
    text = as_markdown(compare(*reports))
    tables = [part for part in text.split("\n\n") if part.startswith("|")]
    assert len(tables) == 3
    for table in tables:
        head, rule, *rows = table.splitlines()
        assert set(rule) <= set("|-:") and rows
        assert {line.count("|") for line in (head, *rows)} == {rule.count("|")}


def test_other_videos_labels_or_rates_are_refused(reports, tmp_path):
    truth = np.repeat([0, 1], 50)
    videos = {f"v{i}": (truth, truth) for i in range(4)}
    fewer = write_report(tmp_path / "fewer", {k: v for k, v in videos.items() if k != "v2"})
    with pytest.raises(PipelineError, match="fewer has no prediction of v2, which"):
        compare(reports[0], fewer)
    other = write_report(tmp_path / "other", videos | {"v1": (1 - truth, truth)})
    with pytest.raises(PipelineError, match="the true labels of v1 differ"):
        compare(reports[0], other)
    faster = write_report(tmp_path / "faster", videos, fps=5.0)
    with pytest.raises(PipelineError, match="frames per second differ"):
        compare(reports[0], faster)


def git(*arguments):
    author = ("-c", "user.name=T", "-c", "user.email=t@example.org")
    subprocess.run(["git", *author, *arguments], check=True, capture_output=True)


def test_revisions_and_folders_are_read_through_dvc(evaluated, monkeypatch, capsys):
    """What a revision's report holds comes out of DVC's cache, not out of git."""
    git("init", "-q")
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q"], check=True)
    outs = ("reports/predictions", "reports/details.json")
    subprocess.run([sys.executable, "-m", "dvc", "add", "-q", *outs], check=True)
    git("add", *(f"{out}.dvc" for out in outs), "params.yaml", ".dvc")
    git("commit", "-q", "-m", "first")
    shutil.copytree(evaluated / "reports", evaluated / "elsewhere")
    shutil.rmtree(evaluated / "reports/predictions")
    (evaluated / "reports/details.json").unlink()

    monkeypatch.setattr(sys, "argv", ["surgphase", "compare", "HEAD", "elsewhere", "--md"])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 0
    printed = capsys.readouterr().out
    assert "### HEAD against elsewhere, 2 test videos" in printed
    assert "| Median distance of transitions |" in printed

    with pytest.raises(PipelineError, match="nothing: neither a folder nor a git revision"):
        read_report("nothing")
    details = hashlib.md5((evaluated / "elsewhere/details.json").read_bytes()).hexdigest()
    (evaluated / f".dvc/cache/files/md5/{details[:2]}/{details[2:]}").rename(evaluated / "kept")
    with pytest.raises(PipelineError, match=r"HEAD: reports/details.json is not in the cache"):
        read_report("HEAD")
    (evaluated / "kept").rename(evaluated / f".dvc/cache/files/md5/{details[:2]}/{details[2:]}")
    predictions = hashlib.md5((evaluated / "elsewhere/predictions/b.csv").read_bytes()).hexdigest()
    (evaluated / f".dvc/cache/files/md5/{predictions[:2]}/{predictions[2:]}").unlink()
    with pytest.raises(PipelineError, match=r"HEAD: reports/predictions/b.csv is not in the cac"):
        read_report("HEAD")
    shutil.rmtree(evaluated / ".dvc/cache")
    with pytest.raises(PipelineError, match=r"HEAD: reports/.* is not in the cache"):
        read_report("HEAD")


def test_a_folder_without_a_report_is_named(tmp_path):
    with pytest.raises(PipelineError, match=r"no reports/details.json in it"):
        read_report(str(tmp_path))
    (tmp_path / "details.json").write_text("{}")
    with pytest.raises(PipelineError, match=r"has no test\.label_fps"):
        read_report(str(tmp_path))
