"""What `python -m pipeline recipe` does."""

from pathlib import Path

from pipeline.recipes.files import RECIPES, first_line, read_recipe, recipe_names
from pipeline.recipes.merge import write_recipe
from pipeline.settings import PARAMS


def list_recipes(folder: Path = RECIPES) -> str:
    """A line for each recipe: its name and what it is."""
    names = recipe_names(folder)
    width = max(map(len, names))
    return "\n".join(f"{name:{width}}  {first_line(name, folder)}" for name in names)


def use_recipe(name: str, folder: Path = RECIPES, params: Path = PARAMS) -> str:
    """Write a recipe into params.yaml.

    Returns:
        A line for each key that changed, with its old and new value.

    Raises:
        PipelineError: There is no such recipe, or it does not go with the rest of params.yaml.
    """
    changes = write_recipe(read_recipe(name, folder), params)
    if not changes:
        return f"{params}: holds the recipe {name} already."
    return "\n".join(
        [
            f"{params}: {name}, {len(changes)} keys changed",
            *(f"  {key}: {old or '-'} -> {new}" for key, old, new in changes),
        ]
    )
