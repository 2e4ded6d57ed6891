"""A comparison as text: for a terminal, or as Markdown for a pull request."""

from collections.abc import Callable

from pipeline.compare.comparison import Comparison, Difference
from pipeline.metrics.wording import difference, interval, written
from pipeline.text_tables import Rows, markdown_table, plain_table

VIDEOS_SHOWN = 5


def as_markdown(found: Comparison) -> str:
    """Sections with tables in GitHub's Markdown."""
    return _text(found, markdown_table, "### ")


def as_text(found: Comparison) -> str:
    """The same for a terminal."""
    return _text(found, plain_table, "")


def _text(found: Comparison, table: Callable[[Rows], str], heading: str) -> str:
    reports = (found.a, found.b)
    videos = f"{found.num_videos} test video" + ("" if found.num_videos == 1 else "s")
    parts = [f"{heading}{found.a} against {found.b}, {videos}"]
    if found.parameters:
        parts.append(table([("parameter", *reports), *found.parameters]))
    for title, differences in (("metric", found.whole), ("F1 of phase", found.by_phase)):
        head = (title, *reports, "difference", "95 % interval", "clear")
        parts.append(table([head, *map(_row, differences)]))
    moved = [d for d in found.by_video if d.change][:VIDEOS_SHOWN]
    if moved:
        rows = [_row(d)[:4] for d in moved]
        parts.append(table([("accuracy of video", *reports, "difference"), *rows]))
    else:
        parts.append("No video changed its accuracy.")
    parts.append(
        "Interval: paired bootstrap over videos; clear: it leaves 0 out."
        if found.num_videos > 1
        else "One video: there is no interval."
    )
    return "\n\n".join(parts)


def _row(d: Difference) -> tuple[str, ...]:
    return (
        d.name,
        written(d.metric, d.a),
        written(d.metric, d.b),
        difference(d.metric, d.change),
        interval(d.metric, d.low, d.high, signed=True),
        d.verdict,
    )
