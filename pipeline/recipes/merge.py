"""A recipe written into params.yaml, with each key that it changes."""

import io
from collections.abc import Iterator, Mapping, MutableMapping
from pathlib import Path
from typing import Any, NamedTuple

from ruamel.yaml.error import YAMLError

from pipeline.all_params import check_candidate
from pipeline.atomic import replacing
from pipeline.errors import PipelineError
from pipeline.recipes.files import round_trip
from pipeline.settings import PARAMS


class Change(NamedTuple):
    """A key that a recipe changes, with its values as YAML writes them.

    Attributes:
        key: Dotted.
        old: What stood there; empty where nothing did.
        new: What stands there now.
    """

    key: str
    old: str
    new: str


def write_recipe(recipe: Mapping[str, Any], path: Path = PARAMS) -> list[Change]:
    """Merge a recipe into params.yaml, which keeps its comments and order.

    Args:
        recipe: As read_recipe returns it.
        path: Of params.yaml.

    Returns:
        What changed; where nothing did, the file stays untouched.

    Raises:
        PipelineError: The file is missing or no YAML, or the recipe gives no valid parameters with
            what else stands there. Then too the file stays as it was.
    """
    try:
        params = round_trip().load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PipelineError(
            f"{path}: not found. Run from the folder that holds dvc.yaml and params.yaml."
        ) from None
    except YAMLError as error:
        raise PipelineError(f"{path}: not valid YAML: {error}") from None
    changes = list(_merge(params, recipe))
    if changes:
        text = io.StringIO()
        round_trip().dump(params, text)
        with replacing(path) as candidate:
            candidate.write_text(text.getvalue(), encoding="utf-8", newline="\n")
            _check(candidate, path)
    return changes


def _check(candidate: Path, path: Path) -> None:
    try:
        check_candidate(candidate)
    except PipelineError as error:
        said = str(error).replace(str(candidate), str(path))
        raise PipelineError(f"the recipe does not go with the rest of {path}:\n{said}") from None


def _merge(
    params: MutableMapping[str, Any], recipe: Mapping[str, Any], above: str = ""
) -> Iterator[Change]:
    for key, new in recipe.items():
        old = params.get(key)
        dotted = f"{above}{key}"
        if isinstance(old, MutableMapping) and isinstance(new, Mapping) and new and old:
            yield from _merge(old, new, f"{dotted}.")
        elif key not in params or old != new:
            yield Change(dotted, _text(old) if key in params else "", _text(new))
            params[key] = new


def _text(value: Any) -> str:
    """The value on one line, without comments, its numbers spelled as in the file."""
    match value:
        case Mapping():
            inside = ", ".join(f"{key}: {_text(own)}" for key, own in value.items())
            return f"{{{inside}}}"
        case list():
            return f"[{', '.join(map(_text, value))}]"
    text = io.StringIO()
    round_trip().dump(value, text)
    return text.getvalue().removesuffix("...\n").strip()
