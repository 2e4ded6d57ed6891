"""The table of metrics: complete, and what the documentation says."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.metrics.documentation import with_tables
from pipeline.metrics.headline import as_text, headline
from pipeline.metrics.keys import is_in, value_at
from pipeline.metrics.summary import compared_values, summarise
from pipeline.metrics.table import METRICS, metric
from pipeline.metrics.video_level import VIDEO_METRICS
from pipeline.metrics.wording import difference, interval, with_deviation, written
from pipeline.phases import CHOLEC80
from pipeline.scored_video import ScoredVideo

PAGE = Path(__file__).parents[2] / "docs/metrics.md"
SAID_OF_WHAT_WAS_SCORED = {
    *("videos", "frames", "label_fps", "boundary.transitions", "relaxed.seconds"),
    *(f"phase.{name}.frames" for name in CHOLEC80),
}


@pytest.fixture(scope="module")
def details():
    """Of two videos with everything that a family of metrics needs."""
    generator = np.random.default_rng(2)
    videos = {}
    for name in "ab":
        truth = np.repeat(np.arange(7), 12)
        probabilities = generator.dirichlet(np.ones(7), len(truth))
        videos[name] = ScoredVideo(truth, probabilities.argmax(axis=1), probabilities)
    return summarise(videos, CHOLEC80, 1.0, 10, 20)


def keys_of(node, prefix=""):
    for name, value in node.items():
        key = f"{prefix}{name}"
        yield from keys_of(value, f"{key}.") if isinstance(value, dict) else [key]


def test_every_value_has_a_row_and_every_row_a_value(details):
    beside = {metric.deviation_key for metric in METRICS}
    for row in METRICS:
        names = CHOLEC80 if "NAME" in row.key else [""]
        for name in names:
            assert is_in(details, row.key.replace("NAME", name)), row.key
    for key in keys_of(details):
        if "_ci_" in key or ".ci_" in key or key in beside | SAID_OF_WHAT_WAS_SCORED:
            continue
        assert metric(key).meaning.endswith("."), key


def test_rows_have_keys_of_their_own_and_labels_of_their_own():
    for table in (METRICS, VIDEO_METRICS):
        assert len({row.key for row in table}) == len(table)
        assert len({row.label for row in table}) == len(table)
    with pytest.raises(KeyError):
        metric("frame.nothing.mean")


def test_what_is_kept_is_the_headline_with_the_intervals_of_the_main_metrics(details):
    kept = compared_values(details)
    assert len(list(keys_of(kept))) == 15
    lines = headline(details)
    assert [line.metric for line in lines] == [row for row in METRICS if row.kept]
    for line in lines:
        assert value_at(kept, line.metric.key) == value_at(details, line.metric.key)
    assert value_at(kept, "frame.accuracy.ci_low") is not None
    assert value_at(kept, "frame.f1.per_phase_ci_high") is not None
    assert as_text(lines).splitlines()[0].startswith("Accuracy  ")


def test_values_are_written_with_the_unit_and_digits_of_their_row():
    accuracy, ratio = metric("frame.accuracy.mean"), metric("segment.over_segmentation.mean")
    distance, area = metric("boundary.median_s"), metric("phase.Preparation.roc_auc")
    assert written(accuracy, 0.8733) == "87.3 %" and written(accuracy, None) == "-"
    assert written(ratio, 1.5) == "1.50" and written(area, 0.98365) == "0.984"
    assert written(distance, float("inf")) == "-" and written(distance, 3.04) == "3.0 s"
    assert with_deviation(accuracy, 0.8733, 0.0597) == "87.3 ± 6.0 %"
    assert with_deviation(accuracy, 0.8733, None) == "87.3 %"
    assert difference(accuracy, 0.01) == "+1.0 %" and difference(distance, -2.0) == "-2.0 s"
    assert interval(accuracy, 0.8, 0.9) == "80.0 to 90.0 %" and interval(accuracy, None, 1.0) == ""
    assert interval(accuracy, -0.1, 0.2, signed=True) == "-10.0 to +20.0 %"


def test_the_tables_of_the_documentation_are_up_to_date():
    page = PAGE.read_text()
    assert page.count("<!-- table: ") == page.count("<!-- end of table -->") == 8
    assert with_tables(page) == page, "run `python -m pipeline.metrics.documentation`"
