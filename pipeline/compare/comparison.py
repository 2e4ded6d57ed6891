"""What differs between two reports of the same test videos, and whether it is clear."""

from dataclasses import dataclass

import numpy as np

from pipeline.compare.reports import ReportToCompare
from pipeline.errors import PipelineError
from pipeline.metrics.bootstrap import draw_videos, every_video_once, interval
from pipeline.metrics.frame import accuracies
from pipeline.metrics.measure import Measured, measure
from pipeline.metrics.table import METRICS, Metric, metric

DRAWS = 2000
_ACCURACY, _PHASE_F1 = metric("frame.accuracy.mean"), metric("phase.NAME.f1")


@dataclass(frozen=True)
class Difference:
    """One metric in both reports.

    Attributes:
        metric: Its row of the table.
        name: What it is of: the metric's label, a phase, or a video.
        a: In the first report; NaN where undefined.
        b: In the second report.
        low: Lower end of the paired 95 % interval of b - a; NaN where there is none.
        high: Upper end.
    """

    metric: Metric
    name: str
    a: float
    b: float
    low: float
    high: float

    @property
    def change(self) -> float:
        """What b has more than a."""
        return self.b - self.a

    @property
    def verdict(self) -> str:
        """`better` or `worse` where the interval leaves 0 out, else empty."""
        if self.low > 0 or self.high < 0:
            falls = self.metric.better != "higher"
            return "better" if (self.change < 0) == falls else "worse"
        return ""


@dataclass(frozen=True)
class Comparison:
    """Two reports of the same test videos.

    Attributes:
        a: Name of the first one.
        b: Name of the second one.
        num_videos: Test videos.
        parameters: Keys of params.yaml that differ, with both values.
        whole: Metrics of the whole test set.
        by_phase: F1 of each phase, the largest change first.
        by_video: Accuracy of each video, the largest change first.
    """

    a: str
    b: str
    num_videos: int
    parameters: list[tuple[str, str, str]]
    whole: list[Difference]
    by_phase: list[Difference]
    by_video: list[Difference]


def compare(a: ReportToCompare, b: ReportToCompare) -> Comparison:
    """Compare two reports.

    Both are resampled with the same draws of videos, so that what makes a video hard for both
    cancels out: the interval of a difference is narrower than two separate ones suggest.

    Raises:
        PipelineError: They differ in test videos, labels, phases or rate.
    """
    check_same_test(a, b)
    measured = measured_of(a), measured_of(b)
    names = tuple(measured[0].scored.videos)
    once, draws = every_video_once(len(names)), draw_videos(len(names), DRAWS)
    values = [m.figures(once) for m in measured]
    drawn = [m.figures(draws) for m in measured]

    def difference(row: Metric, key: str, name: str) -> Difference:
        low, high = float("nan"), float("nan")
        if len(names) > 1:
            with np.errstate(invalid="ignore"):  # a median may be infinite in both
                low, high = interval(drawn[1][key] - drawn[0][key])
        before, after = (float(v[key][0]) for v in values)
        return Difference(row, name, before, after, low, high)

    accuracy = [accuracies(m.scored.matrices) for m in measured]
    nothing = float("nan")
    return Comparison(
        a=a.name,
        b=b.name,
        num_videos=len(names),
        parameters=_changed(a.parameters, b.parameters),
        whole=[
            difference(row, row.key, row.label)
            for row in METRICS
            if row.compared and all(row.key in v for v in values)
        ],
        by_phase=_largest_first(
            [difference(_PHASE_F1, f"phase.{name}.f1", name) for name in a.classes]
        ),
        by_video=_largest_first(
            [
                Difference(_ACCURACY, name, float(x), float(y), nothing, nothing)
                for name, x, y in zip(names, *accuracy, strict=True)
            ]
        ),
    )


def measured_of(report: ReportToCompare) -> Measured:
    """The statistics of a report's test videos, in the order of their names."""
    scored = {name: report.videos[name].scored for name in sorted(report.videos)}
    return measure(scored, report.classes, report.label_fps, report.relaxed_seconds)


def check_same_test(a: ReportToCompare, b: ReportToCompare) -> None:
    """Refuse what was not scored alike.

    Raises:
        PipelineError: Two reports differ in test videos, labels, phases or rate.
    """
    for x, y in ((a, b), (b, a)):
        missing = sorted(set(x.videos) - set(y.videos))
        if missing:
            raise PipelineError(
                f"{y.name} has no prediction of {', '.join(missing)}, which {x.name} has. Only "
                "reports of the same test videos can be compared; check `split` and `frames`."
            )
    for what, found in (
        ("phases", (a.classes, b.classes)),
        ("frames per second", (a.label_fps, b.label_fps)),
        ("relaxed seconds", (a.relaxed_seconds, b.relaxed_seconds)),
    ):
        if found[0] != found[1]:
            raise PipelineError(f"{what} differ: {a.name} has {found[0]}, {b.name} {found[1]}.")
    changed = [
        name
        for name in sorted(a.videos)
        if not np.array_equal(a.videos[name].scored.truth, b.videos[name].scored.truth)
        or any(report.videos[name].classes != a.classes for report in (a, b))
    ]
    if changed:
        raise PipelineError(
            f"the true labels of {', '.join(changed)} differ between {a.name} and {b.name}: they "
            "were not scored against the same truth."
        )


def _changed(a: dict[str, str], b: dict[str, str]) -> list[tuple[str, str, str]]:
    if not a or not b:
        return []
    return [
        (key, a.get(key, "-"), b.get(key, "-"))
        for key in sorted({*a, *b})
        if a.get(key) != b.get(key)
    ]


def _largest_first(differences: list[Difference]) -> list[Difference]:
    """Changes that are not defined come last."""
    return sorted(differences, key=lambda d: (np.isnan(d.change), -abs(d.change), d.name))
