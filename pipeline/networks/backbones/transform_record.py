"""Transforms as headers of models keep them, and the code behind each."""

import sys
from collections.abc import Mapping
from dataclasses import asdict
from types import ModuleType
from typing import Any

from pipeline.networks.backbones.stretched import Stretched
from pipeline.networks.backbones.transform import Transform

KINDS: dict[str, type[Transform]] = {"transform": Transform, "stretched": Stretched}
"""Ways to prepare an image. A header that names none means the first one."""


def recorded(transform: Transform) -> dict[str, Any]:
    """The transform as a dictionary of JSON values."""
    (kind,) = (name for name, cls in KINDS.items() if cls is type(transform))
    fields = asdict(transform)
    return fields if kind == "transform" else {"kind": kind, **fields}


def read_transform(record: Mapping[str, Any]) -> Transform:
    """The transform that `recorded` wrote."""
    fields = dict(record)
    return KINDS[fields.pop("kind", "transform")](**fields)


def code_of(transform: Transform) -> ModuleType:
    """The module that prepares images in this way."""
    return sys.modules[type(transform).__module__]
