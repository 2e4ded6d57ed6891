"""A board as text, Markdown, LaTeX or a page."""

import base64
import math
from pathlib import Path

from markupsafe import Markup, escape

from pipeline.leaderboard.board import Board, Figure, Row
from pipeline.metrics.table import Metric
from pipeline.networks.cost import Cost
from pipeline.text_tables import markdown_table, plain_table

CLEAR = 0.05
_LATEX = {
    "\\": r"\textbackslash{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}
_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:80rem;padding:0 1rem}"
    "table{border-collapse:collapse}td,th{padding:.3rem .7rem;border-bottom:1px solid #ddd;"
    "text-align:right;white-space:nowrap}td:first-child,th:first-child{text-align:left}"
    "img{max-width:100%}"
)


def as_text(board: Board) -> str:
    """For a terminal."""
    return "\n\n".join([plain_table(_table(board)), *_notes(board)])


def as_markdown(board: Board) -> str:
    """For a pull request."""
    return "\n\n".join([markdown_table(_table(board)), *_notes(board)])


def as_latex(board: Board) -> str:
    """A tabular with the rules of booktabs; notes are comments."""
    head, *rows = [[latex(cell) for cell in row] for row in _table(board)]
    lines = [
        f"\\begin{{tabular}}{{l{'r' * (len(head) - 1)}}}",
        "\\toprule",
        " & ".join(head) + r" \\",
        "\\midrule",
        *(" & ".join(row) + r" \\" for row in rows),
        "\\bottomrule",
        "\\end{tabular}",
        *(f"% {line}" for note in _notes(board) for line in note.splitlines()),
    ]
    return "\n".join(lines)


def as_html(board: Board, picture: Path | None) -> str:
    """A page that needs no other file."""
    head, *rows = _table(board)
    parts = [_html_row("th", head), *(_html_row("td", row) for row in rows)]
    notes = [f"<p>{str(escape(note)).replace(chr(10), '<br>')}</p>" for note in _notes(board)]
    image = ""
    if picture is not None:
        data = base64.b64encode(picture.read_bytes()).decode()
        image = f'<img alt="Metric over operations" src="data:image/png;base64,{data}">'
    return (
        '<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>Leaderboard</title>\n'
        f"<style>{_STYLE}</style>\n<h1>Leaderboard</h1>\n<table>\n"
        + "\n".join(parts)
        + "\n</table>\n"
        + "\n".join([*notes, image])
        + "\n</html>\n"
    )


def latex(text: str) -> str:
    """A text whose special signs LaTeX prints."""
    return "".join(_LATEX.get(sign, sign) for sign in text)


def operations(cost: Cost | None) -> str:
    """Operations for a frame, or a dash."""
    if cost is None:
        return "-"
    flops, unit = next(
        (cost.flops_per_frame / size, unit)
        for size, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k"), (1, ""))
        if cost.flops_per_frame >= size or not unit
    )
    return f"{flops:.3g}{unit}"


def _html_row(tag: str, cells: tuple[str, ...]) -> str:
    inner = Markup("").join(Markup(f"<{tag}>{{}}</{tag}>").format(cell) for cell in cells)
    return f"<tr>{inner}</tr>"


def _table(board: Board) -> list[tuple[str, ...]]:
    first = board.metrics[0]
    has_validation = any(row.validation is not None for row in board.rows)
    head = ["result", "kind", "backbone", *map(_title, board.metrics)]
    head += [f"validation{_unit(first)}"] if has_validation else []
    head += ["p against best", "FLOP backbone", "FLOP head"]
    table = [tuple(head)]
    for row in board.rows:
        cells = [_name(row), row.kind, row.backbone]
        cells += [_figure(m, row.figures[m.key]) for m in board.metrics]
        cells += [_number(first, row.validation)] if has_validation else []
        cells += [_p(row), operations(row.backbone_cost), operations(row.head_cost)]
        table.append(tuple(cells))
    return table


def _notes(board: Board) -> list[str]:
    videos = f"{board.num_videos} test video" + ("" if board.num_videos == 1 else "s")
    notes = [
        f"{videos}. In brackets: 95 % interval over videos. p: paired permutation test over "
        f"videos, Holm-corrected for {max(len(board.rows) - 1, 0)} comparisons; below {CLEAR:g} "
        "the best one is clearly better."
    ]
    smallest = 2 / 2**board.num_videos
    if smallest * max(len(board.rows) - 1, 1) > CLEAR:
        notes.append(
            f"With {videos} p is {smallest:.2g} at least before the correction: no lead can be "
            "clear here."
        )
    chosen = [row for row in board.rows if row.validation is not None]
    if chosen:
        notes.append(
            "The table is sorted by test figures. Choose a model by its validation figure, and "
            "quote the test figure of that row."
        )
    if board.apart:
        lines = "\n".join(f"{name}: {reason}" for name, reason in board.apart)
        notes.append(f"Not in the table:\n{lines}")
    return notes


def _name(row: Row) -> str:
    return row.name + (f" (+{len(row.also)})" if row.also else "")


def _title(metric: Metric) -> str:
    return f"{metric.label}{_unit(metric)}"


def _unit(metric: Metric) -> str:
    return {"%": ", %", "s": ", s", "ratio": ""}[metric.unit]


def _figure(metric: Metric, figure: Figure) -> str:
    text = _number(metric, figure.value)
    if math.isnan(figure.low):
        return text
    return f"{text} [{_number(metric, figure.low)}, {_number(metric, figure.high)}]"


def _number(metric: Metric, value: float | None) -> str:
    if value is None or math.isnan(value):
        return "-"
    return f"{100 * value if metric.unit == '%' else value:.{metric.digits}f}"


def _p(row: Row) -> str:
    if math.isnan(row.p):
        return "-"
    return "<0.001" if row.p < 0.001 else f"{row.p:.3f}"
