"""reports/backbone/metrics.json, which the stage writes in every mode."""

import json
from pathlib import Path
from typing import Any

from pipeline.atomic import write_text


def write_metrics(folder: Path, metrics: dict[str, Any]) -> None:
    """Nested scalars, in a stable order."""
    write_text(folder / "metrics.json", json.dumps(metrics, indent=2, sort_keys=True) + "\n")
