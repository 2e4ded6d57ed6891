"""`report`: the headline, the revision of the parameters, and pictures for a paper."""

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import cli
from pipeline.errors import PipelineError
from pipeline.report.revision import parameters_of, revision_of
from pipeline.report.summary import read_details

PAGE = Path("reports/index.html")
PARAMS = """\
data: {root: /secret/place, layout: csv}
split: {scheme: column}
frames: {fps: 1}
backbone: {name: resnet18, weights: elsewhere/w.pth, crop: null}
model: {kind: rnn, rnn: lstm, hidden: 4, layers: 1, dropout: 0.0, bidirectional: false}
train: {lr: 1.0e-1}
seed: 1
evaluate: {relaxed_seconds: 10, bootstrap: 200, map: pca}
runtime: {device: cpu}
"""


def git(*arguments):
    author = ("-c", "user.name=T", "-c", "user.email=t@example.org")
    command = ["git", *author, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def commit(text):
    Path("params.yaml").write_text(text)
    git("add", "params.yaml")
    git("commit", "-q", "-m", "change")
    return git("rev-parse", "--short", "HEAD")


def test_the_revision_whose_parameters_are_shown_is_found_in_git(evaluated):
    git("init", "-q")
    first = commit(PARAMS)
    shown = parameters_of(PAGE)
    assert revision_of(shown) == first
    commit(PARAMS.replace("hidden: 4", "hidden: 5"))
    assert revision_of(shown) == first
    # Another layout of the file, folder and machine are the same parameters.
    third = commit("# anew\n" + PARAMS.replace("/secret/place", "/data").replace("1.0e-1", "0.1"))
    assert revision_of(shown) == third
    assert revision_of(shown | {"train.lr": "0.2"}) is None
    assert revision_of({}) is None


def test_parameters_that_params_yaml_leaves_out_have_their_defaults(project):
    git("init", "-q")
    root = Path(__file__).parents[2]
    text = (root / "params.yaml").read_text()
    assert text.count("  crop_borders: false\n") == 1
    without = commit(text.replace("  crop_borders: false\n", ""))
    assert revision_of({"frames.crop_borders": "false", "train.lr": "0.001"}) == without
    assert revision_of({"frames.crop_borders": "true"}) is None


def test_the_command_prints_headline_revision_and_page(evaluated, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["surgphase", "report"])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 0
    out = capsys.readouterr().out
    assert re.search(r"^Accuracy +\d+\.\d ± \d+\.\d % +\d", out, re.M)
    assert "Parameters: not committed to git" in out
    assert str(PAGE.resolve()) in out
    Path("reports/details.json").unlink()
    with pytest.raises(PipelineError, match=r"reports/details.json: not found\. Run `dvc repro`"):
        read_details()


def test_pictures_for_a_paper_have_300_dpi_and_the_same_bytes_every_time(evaluated):
    from PIL import Image

    from pipeline.report.paper_pictures import write_paper_pictures

    def hashes():
        return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}

    details = json.loads(Path("reports/details.json").read_text())
    folder = write_paper_pictures(details)
    first = hashes()
    assert set(first) == {"ribbon_b.png", "ribbon_c.png", "confusion.png", "phases.png"}
    with Image.open(folder / "ribbon_b.png") as picture:
        assert picture.size[0] == 3000 and set(picture.info) == {"dpi"}
    write_paper_pictures(details)
    assert hashes() == first
