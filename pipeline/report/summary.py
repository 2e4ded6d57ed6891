"""What `python -m pipeline report` prints: headline, revision, and where the page is."""

import json
from typing import Any

from pipeline import paths
from pipeline.errors import PipelineError
from pipeline.metrics.headline import as_text, headline, lines_of
from pipeline.metrics.image_level import IMAGE_METRICS
from pipeline.report.revision import parameters_of, revision_of


def read_details() -> dict[str, Any]:
    """The content of reports/details.json.

    Raises:
        PipelineError: There is none.
    """
    if not paths.DETAILS.is_file():
        raise PipelineError(f"{paths.DETAILS}: not found. Run `dvc repro` first.")
    found: dict[str, Any] = json.loads(paths.DETAILS.read_text(encoding="utf-8"))
    return found


def describe(details: dict[str, Any]) -> str:
    """The headline of the test videos, the revision of the parameters and the page's path."""
    # Single images have another headline.
    shown = headline(details["test"]) or lines_of(IMAGE_METRICS, details["test"])
    lines = [as_text(shown), ""]
    if paths.PAGE.is_file():
        known = revision_of(parameters_of(paths.PAGE))
        lines.append(f"Parameters: {f'git revision {known}' if known else 'not committed to git'}")
    lines.append(f"Report: {paths.PAGE.resolve()}")
    return "\n".join(lines)
