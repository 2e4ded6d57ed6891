"""params.yaml, section by section: typed, validated, and named by key when wrong."""

import difflib
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from pipeline import paths
from pipeline.errors import PipelineError

PARAMS = paths.PARAMS


class Section(BaseModel):
    """A section of params.yaml: frozen, and without a place for unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def _number(value: Any) -> Any:
    """A float from what YAML made of it: `dvc exp run -S` writes 0.00001 back as '1e-05'."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


Number = Annotated[float, BeforeValidator(_number)]

S = TypeVar("S", bound=Section)

# The parser of libyaml, where PyYAML has it: a stage reads the file several times, and the one in
# Python takes a tenth of a second each time.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_params(path: Path = PARAMS) -> dict[str, Any]:
    """All of params.yaml.

    Raises:
        PipelineError: The file is missing or is not a YAML mapping.
    """
    try:
        with path.open(encoding="utf-8") as file:
            params = yaml.load(file, Loader=_Loader)
    except FileNotFoundError:
        raise PipelineError(
            f"{path}: not found. Run from the folder that holds dvc.yaml and params.yaml."
        ) from None
    except yaml.YAMLError as error:
        raise PipelineError(f"{path}: not valid YAML: {error}") from None
    if not isinstance(params, dict):
        raise PipelineError(f"{path}: expected sections such as `frames:`, found {params!r}.")
    return params


def read_section(model: type[S], key: str, path: Path = PARAMS) -> S:
    """The section `key` of params.yaml as its room's model.

    Raises:
        PipelineError: The section is missing, has an unknown key or an impossible value; names
            each key with what was found and what is allowed.
    """
    return check_section(model, key, read_raw_section(key, path), path)


def read_raw_section(key: str, path: Path = PARAMS) -> Any:
    """What stands below `key`, unchecked; an empty section is an empty dictionary.

    Raises:
        PipelineError: The section is missing.
    """
    params = read_params(path)
    if key not in params:
        raise PipelineError(f"{path}: the section `{key}:` is missing. See docs/parameters.md.")
    return params[key] if params[key] is not None else {}


def check_section(model: type[S], key: str, found: Any, path: Path = PARAMS) -> S:
    """What was found below `key` as its room's model.

    Raises:
        PipelineError: As read_section.
    """
    try:
        return model.model_validate(found)
    except ValidationError as error:
        lines = [_explain(model, key, item) for item in error.errors()]
        raise PipelineError("\n".join(f"{path}: {line}" for line in lines)) from None


def read_all(model: type[S], path: Path = PARAMS) -> S:
    """The whole of params.yaml as one model with a field per section.

    Raises:
        PipelineError: As read_section, for every section at once.
    """
    params = {key: {} if value is None else value for key, value in read_params(path).items()}
    try:
        return model.model_validate(params)
    except ValidationError as error:
        lines = [_explain(model, "", item) for item in error.errors()]
        raise PipelineError("\n".join(f"{path}: {line}" for line in lines)) from None


def read_value(key: str, kind: type[Any], path: Path = PARAMS) -> Any:
    """One value by its dotted key, such as `seed` or `data.root`.

    Raises:
        PipelineError: The key is missing or holds another type.
    """
    value: Any = read_params(path)
    for part in key.split("."):
        if not isinstance(value, dict) or part not in value:
            raise PipelineError(f"{path}: `{key}` is missing.")
        value = value[part]
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise PipelineError(f"{path}: {key}: found {value!r}, allowed: {kind.__name__}.")
    return value


def _explain(model: type[BaseModel], section: str, item: Any) -> str:
    """One line for one of pydantic's errors: key, what was found, what is allowed."""
    where = ".".join(str(part) for part in (section, *item["loc"]) if part != "")
    if item["type"] == "extra_forbidden":
        allowed = _fields(model, item["loc"][:-1])
        near = difflib.get_close_matches(str(item["loc"][-1]), allowed, n=1)
        hint = f" Did you mean `{near[0]}`?" if near else ""
        others = f" Allowed: {', '.join(allowed)}." if allowed else ""
        return f"{where}: unknown key.{hint}{others}"
    if item["type"] == "missing":
        return f"{where}: missing."
    message = str(item["msg"]).removeprefix("Value error, ")
    if not item["loc"]:
        return f"{where}: {message}" if where else message
    if isinstance(item["input"], dict) and item["type"] == "value_error":
        return f"{where}: {message}."  # keys that do not go together, which the message names
    return f"{where}: found {item['input']!r}. {message}."


def _fields(model: type[BaseModel], loc: tuple[Any, ...]) -> list[str]:
    for part in loc:
        annotation = model.model_fields[str(part)].annotation
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        model = annotation
    return list(model.model_fields)
