"""How every HTML page of ours is filled in."""

from jinja2 import Environment, PackageLoader, StrictUndefined


def templates_of(package: str) -> Environment:
    """An environment for the templates of a package, which escapes all and misses nothing.

    Args:
        package: Holds a folder `templates`, such as "pipeline.view".
    """
    return Environment(
        loader=PackageLoader(package, "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
