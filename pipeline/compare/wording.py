"""A comparison as text: for a terminal, or as Markdown for a pull request."""

import math
from collections.abc import Callable, Sequence

from pipeline.compare.comparison import Comparison, Difference

VIDEOS_SHOWN = 5
_RATIOS = ("segment.over_segmentation.mean",)
_SECONDS = ("boundary.median_s",)

Rows = Sequence[Sequence[str]]


def as_markdown(found: Comparison) -> str:
    """Sections with tables in GitHub's Markdown."""
    return _text(found, _markdown_table, "### ")


def as_text(found: Comparison) -> str:
    """The same for a terminal."""
    return _text(found, _plain_table, "")


def _text(found: Comparison, table: Callable[[Rows], str], heading: str) -> str:
    sides = (found.a, found.b)
    videos = f"{found.videos} test video" + ("" if found.videos == 1 else "s")
    parts = [f"{heading}{found.a} against {found.b}, {videos}"]
    if found.parameters:
        parts.append(table([("parameter", *sides), *found.parameters]))
    for title, differences in (("metric", found.figures), ("F1 of phase", found.phases)):
        head = (title, *sides, "difference", "95 % interval", "clear")
        parts.append(table([head, *map(_row, differences)]))
    moved = [d for d in found.by_video if d.change][:VIDEOS_SHOWN]
    if moved:
        rows = [_row(difference)[:4] for difference in moved]
        parts.append(table([("accuracy of video", *sides, "difference"), *rows]))
    else:
        parts.append("No video changed its accuracy.")
    parts.append(
        "Interval: paired bootstrap over videos; clear: it leaves 0 out."
        if found.videos > 1
        else "One video: there is no interval."
    )
    return "\n\n".join(parts)


def _row(difference: Difference) -> tuple[str, ...]:
    name = difference.name
    limits = ""
    if not math.isnan(difference.low):
        limits = f"{_signed(name, difference.low)} to {_signed(name, difference.high)}"
    return (
        name,
        _value(name, difference.a),
        _value(name, difference.b),
        _signed(name, difference.change),
        limits,
        difference.verdict,
    )


def _value(name: str, value: float) -> str:
    if not math.isfinite(value):
        return "-"
    if name in _SECONDS:
        return f"{value:.1f} s"
    return f"{value:.2f}" if name in _RATIOS else f"{100 * value:.1f}"


def _signed(name: str, value: float) -> str:
    if not math.isfinite(value):
        return "-"
    sign = "+" if value > 0 else ""
    return f"{sign}{_value(name, value)}"


def _markdown_table(rows: Rows) -> str:
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    lines.insert(1, "|---" + "|---:" * (len(rows[0]) - 1) + "|")
    return "\n".join(lines)


def _plain_table(rows: Rows) -> str:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )
