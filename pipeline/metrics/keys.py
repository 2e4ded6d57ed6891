"""Dotted keys of metrics: where interval and deviation lie, and keys as nested dictionaries."""

import math
from collections.abc import Mapping
from typing import Any


def interval_keys(key: str) -> tuple[str, str]:
    """Keys of a metric's interval: for `x.mean` x.ci_low, for `x.y_mean` x.y_ci_low, and so on.

    Any other name stays whole: `x.pooled` has x.pooled_ci_low. `x.value` has x.ci_low.
    """
    stem = _stem(key)
    return f"{stem}ci_low", f"{stem}ci_high"


def deviation_key(key: str) -> str:
    """Key of a metric's standard deviation, where it has one: for `x.y_mean` x.y_std."""
    return f"{_stem(key)}std"


def _stem(key: str) -> str:
    group, _, name = key.rpartition(".")
    for ending in ("mean", "value"):
        if name.endswith(ending):
            return f"{group}.{name.removesuffix(ending)}"
    return f"{group}.{name}_"


def nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted keys as nested dictionaries; rounded to 6 digits, None where JSON has no number."""
    result: dict[str, Any] = {}
    for key, value in flat.items():
        *groups, name = parts(key)
        node = result
        for group in groups:
            node = node.setdefault(group, {})
        if isinstance(value, float):
            value = round(value, 6) if math.isfinite(value) else None
        node[name] = value
    return result


def value_at(metrics: Mapping[str, Any], key: str) -> Any:
    """The value under a dotted key of nested dictionaries; None where there is none."""
    node: Any = metrics
    for part in parts(key):
        if not isinstance(node, Mapping) or part not in node:
            return None
        node = node[part]
    return node


def is_in(metrics: Mapping[str, Any], key: str) -> bool:
    """Whether nested dictionaries hold a dotted key, undefined values included."""
    *groups, name = parts(key)
    node: Any = metrics
    for group in groups:
        node = node.get(group, {}) if isinstance(node, Mapping) else {}
    return isinstance(node, Mapping) and name in node


def parts(key: str) -> list[str]:
    """The parts of a dotted key. A phase's name may hold dots: all from `phase.` to the last."""
    if not key.startswith("phase."):
        return key.split(".")
    group, _, rest = key.partition(".")
    phase, _, name = rest.rpartition(".")
    return [group, phase, name]
