"""What differs between two reports of the same test videos, and whether it is clear."""

from dataclasses import dataclass

import numpy as np

from pipeline.compare.sides import Side
from pipeline.errors import PipelineError
from pipeline.metrics.bootstrap import draw_videos, every_video_once, interval
from pipeline.metrics.frame import accuracies
from pipeline.metrics.measure import Measured, figures, measure

DRAWS = 2000
# In the order in which the table shows them, where they exist.
_SHOWN = (
    "frame.accuracy.mean",
    "frame.accuracy.pooled",
    *(f"frame.{score}.per_phase_mean" for score in ("precision", "recall", "jaccard", "f1")),
    "segment.edit.mean",
    *(f"segment.f1_{percent}.pooled" for percent in (10, 25, 50)),
    "segment.over_segmentation.mean",
    "boundary.median_s",
    "boundary.within_10_s",
    "calibration.ece",
    *(
        f"relaxed.{mode}.{score}.mean"
        for mode in ("official", "corrected")
        for score in ("accuracy", "jaccard")
    ),
)
_FALLS = ("segment.over_segmentation.mean", "boundary.median_s", "calibration.ece")


@dataclass(frozen=True)
class Difference:
    """One figure on both sides.

    Attributes:
        name: Key below `test` in metrics.json, or a phase, or a video.
        a: On the first side; NaN where undefined.
        b: On the second side.
        low: Lower end of the paired 95 % interval of b - a; NaN where there is none.
        high: Upper end.
        falls: Whether smaller is better.
    """

    name: str
    a: float
    b: float
    low: float
    high: float
    falls: bool = False

    @property
    def change(self) -> float:
        """What b has more than a."""
        return self.b - self.a

    @property
    def verdict(self) -> str:
        """`better` or `worse` where the interval leaves 0 out, else empty."""
        if self.low > 0 or self.high < 0:
            return "better" if (self.change < 0) == self.falls else "worse"
        return ""


@dataclass(frozen=True)
class Comparison:
    """Two reports side by side.

    Attributes:
        a: Name of the first side.
        b: Name of the second side.
        videos: Number of test videos.
        parameters: Keys of params.yaml that differ, with both values.
        figures: Of the whole test set.
        phases: F1 of each phase, the largest change first.
        by_video: Accuracy of each video, the largest change first.
    """

    a: str
    b: str
    videos: int
    parameters: list[tuple[str, str, str]]
    figures: list[Difference]
    phases: list[Difference]
    by_video: list[Difference]


def compare(a: Side, b: Side) -> Comparison:
    """Compare two reports.

    Both are resampled with the same draws of videos, so that what makes a video hard for both
    cancels out: the interval of a difference is narrower than two separate ones suggest.

    Raises:
        PipelineError: They are not about the same test videos, labels, phases and rate.
    """
    _same_test(a, b)
    left, right = _measured(a), _measured(b)
    count = len(left.videos)
    once, draws = every_video_once(count), draw_videos(count, DRAWS)
    values = figures(left, once), figures(right, once)
    drawn = figures(left, draws), figures(right, draws)

    def difference(key: str, name: str) -> Difference:
        low, high = float("nan"), float("nan")
        if count > 1:
            with np.errstate(invalid="ignore"):  # a median may be infinite on both sides
                low, high = interval(drawn[1][key] - drawn[0][key])
        values_of = float(values[0][key][0]), float(values[1][key][0])
        return Difference(name, *values_of, low, high, falls=key in _FALLS)

    accuracy = accuracies(left.matrices), accuracies(right.matrices)
    nothing = float("nan")
    return Comparison(
        a=a.name,
        b=b.name,
        videos=count,
        parameters=_changed(a.parameters, b.parameters),
        figures=[difference(key, key) for key in _SHOWN if key in values[0] and key in values[1]],
        phases=_largest_first([difference(f"phase.{p}.f1", p) for p in left.phases]),
        by_video=_largest_first(
            [
                Difference(video, float(x), float(y), nothing, nothing)
                for video, x, y in zip(left.videos, *accuracy, strict=True)
            ]
        ),
    )


def _measured(side: Side) -> Measured:
    scored = {name: side.videos[name].scored for name in sorted(side.videos)}
    return measure(scored, side.phases, side.label_fps, side.relaxed_seconds)


def _same_test(a: Side, b: Side) -> None:
    for x, y in ((a, b), (b, a)):
        missing = sorted(set(x.videos) - set(y.videos))
        if missing:
            raise PipelineError(
                f"{y.name} has no prediction of {', '.join(missing)}, which {x.name} has. Only "
                "reports of the same test videos can be compared; check `split` and `frames`."
            )
    for what, found in (
        ("phases", (a.phases, b.phases)),
        ("frames per second", (a.label_fps, b.label_fps)),
        ("relaxed seconds", (a.relaxed_seconds, b.relaxed_seconds)),
    ):
        if found[0] != found[1]:
            raise PipelineError(f"{what} differ: {a.name} has {found[0]}, {b.name} {found[1]}.")
    changed = [
        name
        for name in sorted(a.videos)
        if not np.array_equal(a.videos[name].scored.truth, b.videos[name].scored.truth)
        or any(side.videos[name].phases != a.phases for side in (a, b))
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
