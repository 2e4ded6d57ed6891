"""Which git revision holds the parameters that a report shows."""

import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from pipeline.all_params import AllParams
from pipeline.evaluate.parameters import flat_parameters
from pipeline.paths import PARAMS

_PARAMETERS = re.compile(r'<script type="application/json" id="parameters">(.*?)</script>', re.S)


def parameters_of(page: Path) -> dict[str, str]:
    """The parameters that a report page shows, by dotted key; empty where it has none."""
    found = _PARAMETERS.search(page.read_text(encoding="utf-8"))
    return json.loads(found[1]) if found else {}


def revision_of(shown: Mapping[str, str], params: Path = PARAMS) -> str | None:
    """The newest git revision whose params.yaml has these values; None where there is none.

    Only the keys that are shown are compared: the report depends on no other.
    """
    if not shown:
        return None
    try:
        for revision in _git("log", "--format=%h", "--", str(params)).split():
            content = yaml.safe_load(_git("show", f"{revision}:./{params}"))
            there = flat_parameters(_with_defaults(content))
            if all(there.get(key) == value for key, value in shown.items()):
                return revision
    except (OSError, subprocess.CalledProcessError, yaml.YAMLError):
        return None
    return None


def _with_defaults(content: Any) -> dict[str, Any]:
    """All parameters of a params.yaml, those that it leaves out included."""
    if not isinstance(content, dict):
        return {}
    try:
        return AllParams.model_validate(content).model_dump()
    except ValidationError:  # written for another version of this program
        return content


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], capture_output=True, text=True, check=True).stdout
