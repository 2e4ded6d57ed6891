"""What post-processing and calibration did: in words, and the metrics without them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.metrics.keys import is_in, nested, value_at
from pipeline.metrics.summary import summarise
from pipeline.metrics.table import METRICS
from pipeline.metrics.wording import written
from pipeline.scored_video import ScoredVideo
from pipeline.sequences import Sequence as VideoSequence

_KEYS = tuple(
    metric.key
    for metric in METRICS
    if metric.kept or metric.key in ("segment.over_segmentation.mean", "calibration.ece")
)
# What is done, and what its seconds are.
_WORDS = {
    "median": ("median", "window"),
    "min_duration": ("short runs merged", "shortest run"),
    "viterbi": ("Viterbi", "shortest run"),
}


@dataclass(frozen=True)
class Change:
    """One metric of the test videos.

    Attributes:
        key: Dotted, as in reports/details.json.
        label: What people call it.
        before: As text, from the network alone.
        after: As text, of what is reported.
    """

    key: str
    label: str
    before: str
    after: str


def applied(temporal: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Name and text of what is done to the logits; nothing where that is nothing.

    Of several folds, each one's test videos take its own fit, and those are what is said.

    Args:
        temporal: Header of models/temporal.safetensors.
    """
    facts: list[tuple[str, str]] = []
    fits = list(temporal.get("fits", {"": temporal}).values())
    in_folds = " of each fold" if len(fits) > 1 else ""
    if "temperature" in temporal:
        divisors = ", ".join(f"{own['temperature']:.3f}" for own in fits)
        text = f"logits divided by {divisors}, fitted on the validation videos{in_folds}"
        facts.append(("Calibration", text))
    numbers = temporal.get("postprocess", {"params": {"kind": "none"}})
    params = numbers["params"]
    if params["kind"] != "none":
        variant = "sees the past only" if params["online"] else "offline"
        done, duration = _WORDS[params["kind"]]
        seconds = ", ".join(f"{own['postprocess']['seconds']:g}" for own in fits)
        text = f"{done} ({variant}), {duration} {seconds} s"
        if "tried" in numbers and in_folds:
            text += ", chosen by macro F1 on the validation videos of each fold"
        elif "tried" in numbers:
            tried = ", ".join(f"{seconds:g}" for seconds, _ in numbers["tried"])
            best = max(score for _, score in numbers["tried"])
            text += f", chosen from {tried} s by macro F1 on the validation videos "
            text += f"({best:.3f}; the network alone has {numbers['untouched']:.3f})"
        facts.append(("Post-processing", text))
    return facts


def unprocessed(
    sequences: Sequence[VideoSequence],
    scored_plain: Callable[[VideoSequence], ScoredVideo],
    temporal: Mapping[str, Any],
    relaxed_seconds: float,
) -> dict[str, Any]:
    """The main metrics of the network alone, as nested keys; nothing where nothing is done to it.

    Args:
        sequences: Videos of a split.
        scored_plain: Predicts a video by the network alone.
        temporal: Header of models/temporal.safetensors.
        relaxed_seconds: Tolerance of the relaxed metrics.
    """
    if not applied(temporal):
        return {}
    scored = {sequence.video: scored_plain(sequence) for sequence in sequences}
    details = summarise(scored, temporal["classes"], temporal["fps"], relaxed_seconds, 0)
    found = {key: value_at(details, key) for key in _KEYS if is_in(details, key)}
    return {"unprocessed": nested(found)}


def changes(details: Mapping[str, Any]) -> list[Change]:
    """A row for each main metric; none where the details have no group `unprocessed`."""
    before = details.get("unprocessed", {})
    return [
        Change(
            metric.key,
            metric.label,
            written(metric, value_at(before, metric.key)),
            written(metric, value_at(details, metric.key)),
        )
        for metric in METRICS
        if is_in(before, metric.key)
    ]
