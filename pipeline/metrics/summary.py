"""All metrics of a split as nested scalars: what goes into reports/metrics.json."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.metrics.bootstrap import draw_videos, every_video_once, interval
from pipeline.metrics.boundary import transitions
from pipeline.metrics.calibration import ranking_figures
from pipeline.metrics.measure import (
    Measured,
    ScoredVideo,
    figures,
    interval_keys,
    measure,
    spreads,
)


def summarise(
    videos: Mapping[str, ScoredVideo],
    phases: Sequence[str],
    label_fps: float,
    relaxed_seconds: float,
    draws: int,
) -> dict[str, Any]:
    """Every metric of a split.

    Args:
        videos: By name. Frames without a label take part in no metric.
        phases: Names in class order.
        label_fps: Frames per second of the sequences.
        relaxed_seconds: Tolerance of the relaxed metrics.
        draws: Of the bootstrap over videos; 0 leaves the intervals out, as does a single video.

    Returns:
        Groups frame, segment, boundary, phase.<name>, calibration (where there are
        probabilities), relaxed (where the phase order has that rule), and the numbers of videos
        and frames. Fractions and seconds, rounded to 6 digits; None where undefined.
    """
    measured = measure(videos, phases, label_fps, relaxed_seconds)
    if not measured.videos:
        return {"videos": 0, "frames": 0}
    flat: dict[str, Any] = {
        "videos": len(measured.videos),
        "frames": int(measured.matrices.sum()),
        "label_fps": float(label_fps),
    }
    once = figures(measured, every_video_once(len(measured.videos)))
    flat |= {key: float(value[0]) for key, value in once.items()}
    flat |= spreads(measured)
    if draws and len(measured.videos) > 1:
        drawn = figures(measured, draw_videos(len(measured.videos), draws))
        for key, values in drawn.items():
            flat |= dict(zip(interval_keys(key), interval(values), strict=True))
    known = [videos[name] for name in measured.videos]
    flat["boundary.transitions"] = sum(len(transitions(video.truth).at) for video in known)
    if measured.relaxed:
        flat["relaxed.seconds"] = float(relaxed_seconds)
    counts = measured.matrices.sum(axis=(0, 2))
    flat |= {f"phase.{phase}.frames": int(n) for phase, n in zip(phases, counts, strict=True)}
    flat |= _ranking(known, measured)
    return nested(flat)


def _ranking(videos: Sequence[ScoredVideo], measured: Measured) -> dict[str, float]:
    if measured.bins is None:
        return {}
    truth = np.concatenate([v.truth[v.labelled] for v in videos])
    probabilities = np.concatenate([v.known_probabilities[v.labelled] for v in videos])
    whole, single = ranking_figures(truth, probabilities)
    found = {f"calibration.{key}": value for key, value in whole.items()}
    for name, values in single.items():
        for phase, value in zip(measured.phases, values, strict=True):
            found[f"phase.{phase}.{name}"] = float(value)
    return found


def nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted keys as nested dictionaries; rounded to 6 digits, None where JSON has no number.

    A phase's name may hold dots: it is all between `phase.` and the last dot.
    """
    result: dict[str, Any] = {}
    for key, value in flat.items():
        *groups, name = key.split(".")
        if groups and groups[0] == "phase":
            groups = ["phase", ".".join(groups[1:])]
        node = result
        for group in groups:
            node = node.setdefault(group, {})
        if isinstance(value, float):
            value = round(value, 6) if math.isfinite(value) else None
        node[name] = value
    return result
