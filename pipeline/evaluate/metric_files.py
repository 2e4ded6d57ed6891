"""reports/details.json with all metrics, and reports/metrics.json with those that are compared."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.atomic import write_text
from pipeline.metrics.keys import is_in, nested, value_at
from pipeline.metrics.spread import spread
from pipeline.metrics.summary import compared_values

_OF_A_TRACK = (
    *("frame.accuracy.mean", "frame.f1.per_phase_mean"),
    *("segment.edit.mean", "segment.f1_50.pooled"),
)


def write_metrics(
    reports: Path,
    details: Mapping[str, Mapping[str, Any]],
    parts: Mapping[str, Mapping[str, Any]],
    tracks: Mapping[str, Mapping[str, Any]] | None = None,
) -> None:
    """Write both files.

    Args:
        reports: Their folder.
        details: Metrics by split.
        parts: Metrics of each fold in `folds` and of each seed in `seeds`, where there are several.
        tracks: Of the test videos in each further track, where there are any.
    """
    named = {"tracks": tracks} if tracks else {}
    write_json(reports / "details.json", {**details, **parts, **named})
    kept = {split: compared_values(metrics) for split, metrics in details.items()}
    kept |= {of: spread(found.values()) for of, found in parts.items()}
    if tracks:
        kept["tracks"] = {name: _few(metrics) for name, metrics in tracks.items()}
    write_json(reports / "metrics.json", kept)


def _few(metrics: Mapping[str, Any]) -> dict[str, Any]:
    return nested({key: value_at(metrics, key) for key in _OF_A_TRACK if is_in(metrics, key)})


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write nested scalars with sorted keys: the same content, the same bytes."""
    write_text(path, json.dumps(content, indent=2, sort_keys=True) + "\n")
