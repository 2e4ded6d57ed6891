import csv
import hashlib

import numpy as np
import pytest

from pipeline.demo.render import render_demo
from pipeline.demo.workflow import PHASES, course
from pipeline.index.probe import probe


def hashes(folder):
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rendered") / "demo"
    render_demo(folder, operations=2, seconds=(4, 5))
    return folder


def test_the_demo_has_the_same_bytes_every_time(demo, tmp_path):
    render_demo(tmp_path / "again", operations=2, seconds=(4, 5))
    assert hashes(tmp_path / "again") == hashes(demo)


def test_labels_cover_each_video_exactly(demo):
    with (demo / "phases.csv").open() as file:
        rows = list(csv.DictReader(file))
    for video in ("operation01", "operation02"):
        runs = [row for row in rows if row["video"] == video]
        found = probe(demo / f"videos/{video}.mp4")
        assert float(runs[0]["start_s"]) == 0
        assert float(runs[-1]["end_s"]) == found.duration_s == found.frames / 25
        ends = [row["end_s"] for row in runs[:-1]]
        assert ends == [row["start_s"] for row in runs[1:]]


def test_operations_vary_in_order_repetition_and_length_and_show_every_phase():
    courses = [course(np.random.default_rng(seed), 60) for seed in range(40)]
    assert all({run.phase for run in runs} == set(PHASES) for runs in courses)
    assert len({tuple(run.phase for run in runs) for runs in courses}) > 10
    assert {len(runs) for runs in courses} >= {7, 9, 11}
    lengths = [run.end_s - run.start_s for runs in courses for run in runs]
    assert min(lengths) > 1.5 and max(lengths) > 3 * min(lengths)
