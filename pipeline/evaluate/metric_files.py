"""reports/details.json with all metrics, and reports/metrics.json with those that are compared."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.atomic import write_text
from pipeline.metrics.spread import spread
from pipeline.metrics.summary import compared_values


def write_metrics(
    reports: Path,
    details: Mapping[str, Mapping[str, Any]],
    parts: Mapping[str, Mapping[str, Any]],
) -> None:
    """Write both files.

    Args:
        reports: Their folder.
        details: Metrics by split.
        parts: Metrics of each fold in `folds` and of each seed in `seeds`, where there are several.
    """
    write_json(reports / "details.json", {**details, **parts})
    kept = {split: compared_values(metrics) for split, metrics in details.items()}
    kept |= {of: spread(found.values()) for of, found in parts.items()}
    write_json(reports / "metrics.json", kept)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write nested scalars with sorted keys: the same content, the same bytes."""
    write_text(path, json.dumps(content, indent=2, sort_keys=True) + "\n")
