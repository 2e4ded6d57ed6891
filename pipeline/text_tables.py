"""Tables as text: for a terminal, or as Markdown for a pull request."""

from collections.abc import Sequence

Rows = Sequence[Sequence[str]]
"""Cells by row; the first row holds the heads, the first column the names."""


def markdown_table(rows: Rows) -> str:
    """GitHub's Markdown; names to the left, values to the right."""
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    lines.insert(1, "|---" + "|---:" * (len(rows[0]) - 1) + "|")
    return "\n".join(lines)


def plain_table(rows: Rows) -> str:
    """Columns of equal width; names to the left, values to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )
