"""Probed backbones as a table, with what a reader must know to choose by it."""

import sys
from collections.abc import Sequence

from pipeline.metrics.wording import percent
from pipeline.probe.probing import Row, Split
from pipeline.text_tables import Rows, markdown_table, plain_table

HEADS = (
    *("backbone", "weights", "dim", "linear accuracy", "95 % interval", "linear F1"),
    *("k-NN accuracy", "images/s", "probe ms", ""),
)


def show(rows: Sequence[Row], split: Split, md: bool) -> None:
    """Print the table: Markdown, for a terminal, or plain lines."""
    table = table_of(rows)
    if md:
        print(f"{markdown_table(table)}\n\n{notes(rows, split)}")
    elif sys.stdout.isatty():
        _show_rich(table, notes(rows, split))
    else:
        print(f"{plain_table(table)}\n{notes(rows, split)}")


def table_of(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """Heads and one row per backbone; of several, the best linear accuracy is marked."""
    best = max(rows, key=lambda row: row.probed.linear.accuracy)
    return [HEADS, *(_cells(row, "best" if row is best and len(rows) > 1 else "") for row in rows)]


def _cells(row: Row, mark: str) -> tuple[str, ...]:
    linear = row.probed.linear
    return (
        row.backbone,
        row.weights,
        str(row.dim),
        percent(linear.accuracy),
        _interval(linear.interval),
        percent(linear.macro_f1),
        percent(row.probed.neighbours.accuracy),
        "cached" if row.images_per_s is None else f"{row.images_per_s:.1f}",
        f"{row.probe_ms:,}",
        mark,
    )


def _interval(ends: tuple[float, float] | None) -> str:
    return "-" if ends is None else f"{100 * ends[0]:.1f} to {percent(ends[1])}"


def notes(rows: Sequence[Row], split: Split) -> str:
    """Which frames the scores are from, and what they may be used for."""
    first = rows[0].probed
    names = {"val": "validation", "test": "test"}
    scored = (
        f"Fitted to {first.training_frames:,} frames of the training videos, scored on "
        f"{first.frames:,} frames of {first.videos} {names[split]} "
        f"{'video' if first.videos == 1 else 'videos'}, each frame by itself."
    )
    if split == "val":
        return f"{scored} Test videos took no part."
    return f"{scored} Do not choose a backbone by this table: the report scores the same videos."


def _show_rich(table: Rows, text: str) -> None:
    from rich.console import Console
    from rich.table import Table

    heads, *rows = table
    shown = Table()
    for number, head in enumerate(heads):
        shown.add_column(head, justify="right" if number > 1 else "left")
    for row in rows:
        shown.add_row(*row, style="bold green" if row[-1] else None)
    console = Console()
    console.print(shown)
    console.print(text, highlight=False, markup=False)
