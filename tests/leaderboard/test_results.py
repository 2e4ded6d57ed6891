"""Results out of a repository: from git and DVC's cache, each different one once."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import torch
from fsspec.implementations.local import LocalFileSystem

from pipeline.checkpoint import save_checkpoint
from pipeline.leaderboard.command import leaderboard
from pipeline.leaderboard.results import _head_cost, read_result, revisions

STAGE = """stages:
  evaluate:
    cmd: echo {}
    outs: [reports/predictions, reports/details.json, features/videos, models/temporal.safetensors]
"""


def run(*command):
    author = ("-c", "user.name=T", "-c", "user.email=t@example.org")
    command = ("git", *author, *command[1:]) if command[0] == "git" else command
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def commit(folder, word):
    """What lies in the folder, as if the evaluate stage had made it."""
    (folder / "dvc.yaml").write_text(STAGE.format(word))
    run(sys.executable, "-m", "dvc", "commit", "-f", "-q")
    run("git", "add", "-A")
    run("git", "commit", "-q", "-m", word)
    return run("git", "rev-parse", "--short", "HEAD")


def test_commits_are_found_once_for_equal_predictions_and_read_from_the_cache(evaluated):
    (evaluated / "params.yaml").write_text("model: {kind: rnn}\nbackbone: {name: resnet18}\n")
    run("git", "init", "-q")
    run(sys.executable, "-m", "dvc", "init", "-q")
    first = commit(evaluated, "first")
    path = evaluated / "reports/predictions/b.csv"
    table = pd.read_csv(path)
    table["prediction"] = table["truth"].fillna(table["prediction"])
    table.to_csv(path, index=False)
    better = commit(evaluated, "better")
    same = commit(evaluated, "same")
    path.unlink()  # what lies in the working folder does not matter

    found = revisions()
    assert [(r.name, r.also) for r in found] == [(same, (better,)), (first, ())]
    results = [read_result(revision) for revision in found]
    assert [len(result.report.videos) for result in results] == [2, 2]
    assert results[0].backbone.flops_per_frame == 167_000_000
    assert results[0].head.flops_per_frame > 0
    rows = leaderboard("accuracy", md=True, latex=False, html=None).splitlines()
    assert rows[2].startswith(f"| {same} (+1) | rnn | resnet18 |")
    assert rows[3].startswith(f"| {first} | rnn | resnet18 |")
    assert (evaluated / "reports/leaderboard/cost.png").is_file()

    run("git", "rm", "-q", "dvc.lock")
    run("git", "commit", "-q", "-m", "without results")
    assert revisions() == found


def test_all_members_of_an_ensemble_cost(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = {"rnn": "lstm", "hidden": 8, "layers": 1, "dropout": 0.0, "bidirectional": False}
    header = {"kind": "rnn", "model": model, "dim": 4, "classes": ["A", "B"]}
    members = [{"fold": None, "seed": seed} for seed in (1, 2)]
    costs = []
    for described in (header, header | {"members": members}, {"kind": "rnn"}):
        save_checkpoint(Path("models/temporal.safetensors"), {"w": torch.zeros(1)}, described)
        costs.append(_head_cost(LocalFileSystem()))
    alone, both, unknown = costs
    assert (both.flops_per_frame, both.parameters) == (
        2 * alone.flops_per_frame,
        2 * alone.parameters,
    )
    assert unknown is None
