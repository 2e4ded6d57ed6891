"""What is searched: keys of params.yaml with their values, read from a file.

A value is a choice, `[a, b]`, or a range, `{low: 1.0e-4, high: 1.0e-2, log: true}`; of whole
numbers `{low: 64, high: 512, step: 64}`. A key that counts only with some choices says so:
`{choice: [lstm, gru], when: {model.kind: rnn}}`.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import ValidationError

from pipeline.errors import PipelineError
from pipeline.settings import Number, Section

if TYPE_CHECKING:
    from optuna.trial import Trial

_DIGITS = 4
_PLAIN = re.compile(r"[A-Za-z_/.][\w/.\-]*")
_WORDS = {"null", "true", "false", "nan", "inf", "yes", "no", "on", "off"}


class _Range(Section):
    """A range as it is written in the file."""

    low: int | Number
    high: int | Number
    log: bool = False
    step: int | None = None
    when: Any = None


@dataclass(frozen=True)
class Searched:
    """One key and the values that it may take: choices, or a range.

    Attributes:
        key: Dotted key of params.yaml.
        choices: Values by how `-S` writes them; empty for a range.
        low: Lowest value of a range.
        high: Highest value.
        log: Whether the logarithm is what is drawn evenly.
        step: Between neighbouring whole numbers; None for a range of floats.
        when: By key of a choice, those of its values with which this key counts; empty: always.
    """

    key: str
    choices: Mapping[str, Any] = field(default_factory=dict)
    low: float = 0
    high: float = 0
    log: bool = False
    step: int | None = None
    when: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def extremes(self) -> list[Any]:
        """All choices, or both ends of the range."""
        return list(self.choices.values()) if self.choices else [self.low, self.high]

    def counts_with(self, chosen: Mapping[str, str]) -> bool:
        """Whether the values chosen so far, by key, let this key count."""
        return all(chosen.get(key) in allowed for key, allowed in self.when.items())

    def drawn(self, trial: "Trial") -> str:
        """The value that the sampler draws, as `-S` writes it.

        Floats have four significant digits, so that what is reported is what was run.
        """
        if self.choices:
            return str(trial.suggest_categorical(self.key, list(self.choices)))
        if self.step is not None:
            low, high = int(self.low), int(self.high)
            return str(trial.suggest_int(self.key, low, high, step=self.step, log=self.log))
        value = trial.suggest_float(self.key, self.low, self.high, log=self.log)
        return written(min(max(float(f"{value:.{_DIGITS}g}"), self.low), self.high))


Space = tuple[Searched, ...]


def draw(trial: "Trial", space: Space) -> dict[str, str]:
    """One value for each key that counts, as `-S` writes it."""
    chosen: dict[str, str] = {}
    for searched in space:
        if searched.counts_with(chosen):
            chosen[searched.key] = searched.drawn(trial)
    return chosen


def read_space(path: Path) -> Space:
    """Read the file; whether params.yaml takes the values is check_space's business.

    Raises:
        PipelineError: It is missing or empty, or a line of it is neither a choice nor a range;
            names every such key.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PipelineError(f"{path}: not found. docs/search.md shows one.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise PipelineError(f"{path}: not valid YAML: {error}") from None
    if not isinstance(content, dict) or not content:
        raise PipelineError(
            f"{path}: expected keys with their values, such as `model.rnn: [lstm, gru]`, found "
            f"{content!r}."
        )
    space: list[Searched] = []
    problems = []
    for key, found in content.items():
        try:
            space.append(_searched(str(key), found, space))
        except ValueError as error:
            problems.append(f"{path}: {key}: {error}")
    if problems:
        raise PipelineError("\n".join(problems))
    return tuple(space)


def written(value: Any) -> str:
    """A value as DVC's `-S key=value` takes it, which is Hydra's grammar for overrides."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list):
        return "[" + ",".join(map(written, value)) + "]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}: {written(v)}" for key, v in value.items()) + "}"
    text = str(value)
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    # A backslash is itself, unless a quotation mark comes behind it.
    doubled = re.sub(r"(\\+)(?='|$)", r"\1\1", text)
    return "'" + doubled.replace("'", "\\'") + "'"


def _searched(key: str, found: Any, before: list[Searched]) -> Searched:
    if isinstance(found, list):
        return Searched(key, choices=_choices(found))
    if not isinstance(found, dict):
        raise ValueError(
            f"found {found!r}. Allowed: [a, b, c], {{low: ..., high: ...}}, or {{choice: [...]}}"
        )
    when = _conditions(found.get("when") or {}, before)
    if "choice" in found:
        others = sorted(set(found) - {"choice", "when"})
        if others or not isinstance(found["choice"], list):
            raise ValueError(f"found {found!r}. Beside a list `choice` only `when` may stand")
        return Searched(key, choices=_choices(found["choice"]), when=when)
    try:
        read = _Range.model_validate(found)
    except ValidationError as error:
        raise ValueError("; ".join(_problems(error))) from None
    whole = isinstance(read.low, int) and isinstance(read.high, int)
    if not (math.isfinite(read.low) and math.isfinite(read.high) and read.low < read.high):
        raise ValueError(f"low is {read.low} and high is {read.high}; low must be below high")
    if read.log and read.low <= 0:
        raise ValueError(f"low is {read.low}, but log: true needs low above 0")
    if read.step is not None and (not whole or read.step < 1 or read.log):
        raise ValueError(
            f"step is {read.step}; it must be 1 or more, between whole numbers, without log"
        )
    step = (read.step or 1) if whole else None
    return Searched(key, {}, read.low, read.high, read.log, step, when)


def _choices(values: list[Any]) -> dict[str, Any]:
    choices = {written(value): value for value in values}
    if not choices or len(choices) < len(values):
        raise ValueError(f"found {values!r}; each value once, and one at least")
    return choices


def _conditions(found: Any, before: list[Searched]) -> dict[str, tuple[str, ...]]:
    if not isinstance(found, dict):
        raise ValueError(f"when: found {found!r}. Allowed: {{key: value}} or {{key: [a, b]}}")
    choices = {searched.key: searched.choices for searched in before if searched.choices}
    conditions = {}
    for key, values in found.items():
        if key not in choices:
            raise ValueError(f"when: {key} is no choice of a line above")
        allowed = tuple(map(written, values if isinstance(values, list) else [values]))
        unknown = [value for value in allowed if value not in choices[key]]
        if unknown:
            raise ValueError(
                f"when: {key}: found {', '.join(unknown)}. Allowed: {', '.join(choices[key])}"
            )
        conditions[str(key)] = allowed
    return conditions


def _problems(error: ValidationError) -> Iterator[str]:
    for item in error.errors():
        name = str(item["loc"][0])
        if item["type"] == "extra_forbidden":
            yield f"{name}: unknown. Allowed: {', '.join(_Range.model_fields)}, or choice"
        elif item["type"] == "missing":
            yield f"{name} is missing"
        else:
            yield f"{name}: found {item['input']!r}. {item['msg']}"
