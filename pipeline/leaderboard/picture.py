"""The picture of what accuracy costs."""

from pathlib import Path

from matplotlib.figure import Figure

from pipeline.drawing.colours import class_colours
from pipeline.drawing.png import hide_upper_right, save
from pipeline.leaderboard.board import Board, Row


def cost_picture(path: Path, board: Board) -> bool:
    """Each row's metric with its interval over its operations for a frame, a colour per kind.

    Where all rows share a backbone, the temporal model's operations alone tell them apart.

    Args:
        path: The PNG.
        board: The table.

    Returns:
        Whether there was anything to draw: two rows of known cost.
    """
    rows = [row for row in board.rows if row.head_cost is not None]
    shared = len({row.backbone_cost for row in rows}) == 1
    if not shared:
        rows = [row for row in rows if row.backbone_cost is not None]
    if len(rows) < 2:
        return False
    metric = board.metrics[0]
    scale = 100 if metric.unit == "%" else 1
    picture = Figure(figsize=(8, 4.6), layout="constrained")
    axes = picture.subplots()
    kinds = sorted({row.kind for row in rows})
    for kind, colour in zip(kinds, class_colours(len(kinds)), strict=True):
        of_kind = [row for row in rows if row.kind == kind]
        x = [_operations(row, shared) for row in of_kind]
        figures = [row.figures[metric.key] for row in of_kind]
        axes.plot(x, [scale * f.value for f in figures], "o", color=colour, label=kind)
        axes.vlines(
            x,
            [scale * f.low for f in figures],
            [scale * f.high for f in figures],
            color=colour,
            linewidth=1,
            alpha=0.5,
        )
    best = rows[0]
    axes.annotate(
        best.name,
        (_operations(best, shared), scale * best.figures[metric.key].value),
        xytext=(6, 6),
        textcoords="offset points",
        fontsize=8,
    )
    axes.set_xscale("log")
    part = "temporal model" if shared else "both models"
    axes.set_xlabel(f"floating-point operations for a frame, {part}")
    axes.set_ylabel(f"{metric.label}{', %' if metric.unit == '%' else ''}, 95 % interval")
    picture.legend(loc="outside right upper", frameon=False, fontsize=8)
    hide_upper_right(axes)
    save(picture, path)
    return True


def _operations(row: Row, shared: bool) -> float:
    costs = [row.head_cost] if shared else [row.head_cost, row.backbone_cost]
    return float(sum(cost.flops_per_frame for cost in costs if cost is not None))
