"""The live page: one HTML text with style and script inside."""

from markupsafe import Markup

from pipeline.drawing.colours import class_colours, text_colour
from pipeline.pages import templates_of


def live_page(source: str, classes: tuple[str, ...]) -> str:
    """The page, which gets all else from /events.

    Args:
        source: Its heading.
        classes: Names in class order.
    """
    environment = templates_of("pipeline.stream")
    assert environment.loader is not None
    text = environment.loader.get_source
    colours = class_colours(len(classes))
    inks = [text_colour(colour) for colour in colours]
    return environment.get_template("stream.html.jinja").render(
        source=source,
        phases=list(zip(classes, colours, strict=True)),
        style=Markup(text(environment, "stream.css")[0]),
        script=Markup(text(environment, "stream.js")[0]),
        known={"phases": classes, "colours": colours, "inks": inks},
    )
