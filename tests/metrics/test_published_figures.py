"""Metrics against the figures of the published scripts."""

import json

import numpy as np
import pytest
from pairs import relaxed, summary_of

from pipeline.metrics.bootstrap import every_video_once
from pipeline.metrics.relaxed import (
    RelaxedStatistics,
    per_class,
    relaxed_deviations,
    relaxed_figures,
)
from pipeline.metrics.segment import edit_score, match_runs


def cholec80(folder):
    """Videos 41 to 60 at 1 fps. The official script drops the first line of each file."""
    videos = {}
    for truth in sorted((folder / "labels/cholec80/gt").glob("*.txt")):
        pair = [
            np.loadtxt(folder / "labels/cholec80" / kind / truth.name, dtype=np.int64)[1:, 1]
            for kind in ("gt", "tmrnet")
        ]
        videos[truth.stem] = (pair[0], pair[1])
    assert len(videos) == 20
    return videos


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        (
            "official",
            {
                "jaccard": ("75.32", "6.90"),
                "precision": ("87.49", "3.07"),
                "recall": ("86.71", "8.54"),
                "accuracy": ("87.00", "11.67"),
            },
        ),
        (
            "corrected",
            {
                "jaccard": ("76.71", "6.00"),
                "precision": ("88.65", "3.04"),
                "recall": ("87.83", "7.25"),
                "accuracy": ("87.48", "11.74"),
            },
        ),
    ],
)
def test_relaxed_figures_are_those_of_the_official_script(shared_data, mode, expected):
    statistics = RelaxedStatistics(10, {mode: relaxed(cholec80(shared_data).values(), mode)})
    means = relaxed_figures(statistics, every_video_once(20))
    deviations = relaxed_deviations(statistics)
    found = {
        name: (
            f"{100 * means[f'relaxed.{mode}.{name}.mean'][0]:.2f}",
            f"{100 * deviations[f'relaxed.{mode}.{name}.std']:.2f}",
        )
        for name in expected
    }
    assert found == expected


def test_relaxed_figures_per_phase_are_those_of_the_official_script(shared_data):
    values = per_class(relaxed(cholec80(shared_data).values(), "official"), every_video_once(20))
    found = [
        "/".join(
            f"{100 * values[name][0, phase]:.2f}" for name in ("jaccard", "precision", "recall")
        )
        for phase in range(7)
    ]
    assert found == [
        "62.83/87.81/69.22",
        "81.88/91.08/89.54",
        "79.37/89.38/89.02",
        "82.24/88.18/94.41",
        "76.64/88.50/89.08",
        "72.53/86.04/82.82",
        "71.74/81.46/92.85",
    ]


def test_strict_figures_are_the_published_ones(shared_data):
    summary = summary_of(cholec80(shared_data))
    frame = summary["frame"]
    assert f"{100 * frame['accuracy']['mean']:.3f}" == "85.953"
    assert f"{100 * frame['accuracy']['std']:.3f}" == "11.440"
    found = {
        name: f"{100 * frame[name]['mean']:.3f}/{100 * frame[name]['per_phase_mean']:.3f}"
        for name in ("precision", "recall", "jaccard", "f1")
    }
    assert found == {
        "precision": "83.791/83.767",
        "recall": "83.134/83.103",
        "jaccard": "70.970/70.940",
        "f1": "81.070/81.048",
    }
    assert f"{100 * summary['segment']['edit']['mean']:.3f}" == "16.930"
    assert f"{100 * summary['relaxed']['official']['jaccard']['mean']:.2f}" == "75.32"


@pytest.mark.parametrize("name", ["50salads-mid", "gtea"])
def test_segmental_figures_are_those_of_the_reference_code(shared_data, name):
    expected = json.loads((shared_data / "segmentation/expected.json").read_text())[name]
    archive = np.load(shared_data / f"segmentation/{name}.npz")
    videos = segmentation(archive)
    assert len(videos) == expected["videos"]
    accuracy = 100 * np.mean([np.mean(g == p) for g, p in videos])
    assert accuracy == pytest.approx(expected["acc"], abs=1e-9)
    edit = 100 * np.mean([edit_score(g, p, background=0) for g, p in videos])
    assert edit == pytest.approx(expected["edit"], abs=1e-9)
    for percent in (10, 25, 50):
        f1 = 100 * np.mean([match_runs(g, p, percent / 100, background=0).f1 for g, p in videos])
        assert f1 == pytest.approx(expected[f"f1@{percent}"], abs=1e-9)


def segmentation(archive):
    truths = sorted(key for key in archive.files if key.startswith("true"))
    predictions = sorted(key for key in archive.files if key.startswith("pred"))
    return [
        (archive[g].astype(np.int64), archive[p].astype(np.int64))
        for g, p in zip(truths, predictions, strict=True)
    ]
