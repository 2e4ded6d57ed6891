"""All metrics of a split as nested scalars: what goes into reports/details.json."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.metrics.bootstrap import draw_videos, every_video_once, interval
from pipeline.metrics.keys import interval_keys, is_in, nested, value_at
from pipeline.metrics.measure import measure
from pipeline.metrics.table import METRICS
from pipeline.metrics.video_level import VIDEO_METRICS
from pipeline.scored_video import ScoredVideo


def summarise(
    videos: Mapping[str, ScoredVideo],
    classes: Sequence[str],
    label_fps: float,
    relaxed_seconds: float,
    num_draws: int,
) -> dict[str, Any]:
    """Every metric of a split.

    Args:
        videos: By name. Frames without a label take part in no metric.
        classes: Names in class order.
        label_fps: Frames per second of the sequences.
        relaxed_seconds: Tolerance of the relaxed metrics.
        num_draws: Of the bootstrap over videos; 0 leaves the intervals out, as does a single
            video.

    Returns:
        Groups frame, segment, boundary, phase.<name>, calibration (where there are
        probabilities), relaxed (where the phase order has that rule), and the numbers of videos
        and frames. Fractions and seconds, rounded to 6 digits; None where undefined.
    """
    measured = measure(videos, classes, label_fps, relaxed_seconds)
    num_videos = len(measured.scored.videos)
    if not num_videos:
        return {"videos": 0, "frames": 0}
    flat: dict[str, Any] = {
        "videos": num_videos,
        "frames": int(measured.scored.matrices.sum()),
        "label_fps": float(label_fps),
    }
    once = measured.figures(every_video_once(num_videos))
    flat |= {key: float(value[0]) for key, value in once.items()}
    flat |= measured.deviations()
    if num_draws and num_videos > 1:
        drawn = measured.figures(draw_videos(num_videos, num_draws))
        for key, values in drawn.items():
            flat |= dict(zip(interval_keys(key), interval(values), strict=True))
    return nested(flat | measured.constants())


def compared_values(details: Mapping[str, Any]) -> dict[str, Any]:
    """The few values of a split that people compare: what goes into reports/metrics.json.

    Args:
        details: What summarise returned, or summarise_videos or summarise_scores.

    Returns:
        The same nested keys, of the metrics that their tables keep.
    """
    flat = {}
    for metric in (*METRICS, *VIDEO_METRICS):
        ends = metric.interval_keys if metric.kept == "interval" else ()
        for key in (metric.key, *ends) if metric.kept else ():
            if is_in(details, key):
                flat[key] = value_at(details, key)
    return nested(flat)
