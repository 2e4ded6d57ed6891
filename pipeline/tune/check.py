"""Whether params.yaml takes what a space would write into it, before any trial runs."""

import copy
import difflib
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from pipeline.all_params import check_candidate
from pipeline.errors import PipelineError
from pipeline.settings import PARAMS, read_params
from pipeline.tune.space import Searched, Space

# Trials that differ in these would not be scored alike, or not differ at all.
_FIXED = {
    "data": "says what is scored",
    "split": "says what is scored",
    "evaluate": "says how trials are scored",
    "runtime": "never changes a result",
}


def check_space(space: Space, source: Path, params: Path = PARAMS) -> None:
    """Try every choice and both ends of every range, each on top of params.yaml.

    Raises:
        PipelineError: Names every key that params.yaml lacks or that decides nothing there, and
            every value that it does not take, with what is allowed.
    """
    tree = read_params(params)
    problems = [
        f"{source}: {searched.key}: {problem}"
        for searched in space
        for problem in [_unknown(searched.key, tree) or _without_effect(searched, space, tree)]
        if problem
    ]
    if not problems:
        problems = list(_impossible(space, tree, source))
    if problems:
        raise PipelineError("\n".join(problems))


def _unknown(key: str, tree: Mapping[str, Any]) -> str:
    known = dict(_keys(tree))
    if key not in known:
        near = difflib.get_close_matches(key, known, n=3)
        hint = f" Did you mean {' or '.join(f'`{name}`' for name in near)}?" if near else ""
        return f"params.yaml has no such key.{hint}"
    section = key.partition(".")[0]
    return f"`{section}` {_FIXED[section]}, so it is not searched." if section in _FIXED else ""


def _keys(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        yield f"{prefix}{key}", value
        if isinstance(value, Mapping):
            yield from _keys(value, f"{prefix}{key}.")


def _without_effect(searched: Searched, space: Space, tree: Mapping[str, Any]) -> str:
    """A number of one kind of temporal model tells nothing about the other kinds."""
    kind = _kind_of(searched.key)
    kinds = next((set(s.choices) for s in space if s.key == "model.kind"), {tree["model"]["kind"]})
    kinds = set(searched.when.get("model.kind", kinds))
    if kind is None or kinds == {kind}:
        return ""
    return (
        f"only model.kind: {kind} reads it, but the trials have {', '.join(sorted(kinds))}. "
        f"Search model.kind above it, and write `when: {{model.kind: {kind}}}` here."
    )


def _kind_of(key: str) -> str | None:
    from pipeline.networks.temporal import KINDS

    section, *rest = key.split(".")
    if section != "model" or not rest:
        return None
    if len(rest) > 1:
        return rest[0] if rest[0] in KINDS else None
    # The numbers of rnn stand directly below `model`.
    return "rnn" if rest[0] in KINDS["rnn"].Params.model_fields else None


def _impossible(space: Space, tree: Mapping[str, Any], source: Path) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        candidate = Path(folder) / PARAMS.name
        for searched in space:
            for value in searched.extremes:
                changed = copy.deepcopy(dict(tree))
                _choose(changed, searched, space)
                _set(changed, searched.key, value)
                candidate.write_text(yaml.safe_dump(changed), encoding="utf-8")
                try:
                    check_candidate(candidate)
                except PipelineError as error:
                    yield str(error).replace(str(candidate), str(source))


def _choose(tree: dict[str, Any], searched: Searched, space: Space) -> None:
    """Set what the key's conditions ask for, and what theirs do."""
    for key, allowed in searched.when.items():
        condition = next(other for other in space if other.key == key)
        _choose(tree, condition, space)
        _set(tree, key, condition.choices[allowed[0]])


def _set(tree: dict[str, Any], key: str, value: Any) -> None:
    *sections, last = key.split(".")
    for section in sections:
        tree = tree[section]
    tree[last] = value
