"""The files in recipes/: what each one changes in params.yaml, and what it says of itself."""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.representer import RoundTripRepresenter

from pipeline.errors import PipelineError

RECIPES = Path("recipes")
DEFAULT = "default"
"""What all other recipes change, as params.yaml comes with it."""


class _Representer(RoundTripRepresenter):
    """Writes `null` where ruamel.yaml would leave a gap."""


_Representer.add_representer(
    type(None), lambda self, _: self.represent_scalar("tag:yaml.org,2002:null", "null")
)


def round_trip() -> YAML:
    """Reads and writes YAML with its comments, order and spelling of numbers."""
    parser = YAML()
    parser.Representer = _Representer
    parser.width = 4096  # no line of params.yaml is broken in two
    return parser


def recipe_names(folder: Path = RECIPES) -> list[str]:
    """In alphabetical order.

    Raises:
        PipelineError: The folder is missing.
    """
    names = sorted(path.stem for path in folder.glob("*.yaml"))
    if DEFAULT not in names:
        raise PipelineError(
            f"{folder}/{DEFAULT}.yaml: not found. Run from the folder that holds dvc.yaml, "
            "params.yaml and recipes."
        )
    return names


def read_recipe(name: str, folder: Path = RECIPES) -> Mapping[str, Any]:
    """What a recipe writes into params.yaml, section by section.

    A section that the default recipe has too goes back to its values first, so that nothing of an
    earlier recipe is left in it.

    Raises:
        PipelineError: There is no such recipe, or its file is not a YAML mapping.
    """
    names = recipe_names(folder)
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise PipelineError(f"recipe: found {name!r}.{hint} Allowed: {', '.join(names)}.")
    default, own = (_read(folder / f"{file}.yaml") for file in (DEFAULT, name))
    return {section: over(default.get(section, {}), values) for section, values in own.items()}


def over(below: Any, above: Any) -> Any:
    """Two trees as one, in which the values of `above` count; an empty mapping is a value."""
    if not (isinstance(below, Mapping) and isinstance(above, Mapping) and above):
        return above
    return {**below, **{key: over(below.get(key), value) for key, value in above.items()}}


def first_line(name: str, folder: Path = RECIPES) -> str:
    """What the first comment of a recipe's file says."""
    with (folder / f"{name}.yaml").open(encoding="utf-8") as file:
        return file.readline().removeprefix("#").strip()


def _read(path: Path) -> Mapping[str, Any]:
    try:
        found = round_trip().load(path.read_text(encoding="utf-8"))
    except YAMLError as error:
        raise PipelineError(f"{path}: not valid YAML: {error}") from None
    if not isinstance(found, Mapping):
        raise PipelineError(f"{path}: expected sections such as `train:`, found {found!r}.")
    return found
