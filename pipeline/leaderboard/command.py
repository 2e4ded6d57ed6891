"""What `python -m pipeline leaderboard` does."""

from collections.abc import Iterable
from pathlib import Path

from pipeline import paths
from pipeline.atomic import write_text
from pipeline.errors import PipelineError
from pipeline.leaderboard.board import Board, make_board
from pipeline.leaderboard.picture import cost_picture
from pipeline.leaderboard.results import Result, Revision, read_result, revisions
from pipeline.leaderboard.wording import as_html, as_latex, as_markdown, as_text
from pipeline.metrics.short_names import full_key

PICTURE = paths.REPORTS / "leaderboard/cost.png"


def leaderboard(metric: str, md: bool, latex: bool, html: Path | None) -> str:
    """All results of this repository as one table; draws reports/leaderboard/cost.png.

    Args:
        metric: Sorts the rows: a key of reports/details.json below `test`, or a short name.
        md: Markdown instead of text.
        latex: LaTeX instead of text.
        html: Also a page with table and picture.

    Raises:
        PipelineError: No commit or experiment here has a report, or none has this metric.
    """
    board = _board(revisions(), full_key(metric.removeprefix("test.")))
    drawn = cost_picture(PICTURE, board)
    if html is not None:
        write_text(html, as_html(board, PICTURE if drawn else None))
    if md or latex:
        return as_markdown(board) if md else as_latex(board)
    written = [str(PICTURE)] * drawn + ([str(html)] if html is not None else [])
    return "\n\n".join([as_text(board), *written])


def _board(found: Iterable[Revision], key: str) -> Board:
    results: list[Result] = []
    unreadable = []
    for revision in found:
        try:
            results.append(read_result(revision))
        except PipelineError as error:
            unreadable.append((revision.name, str(error)))
    if not results:
        reasons = "".join(f"\n{name}: {reason}" for name, reason in unreadable)
        raise PipelineError(
            "no commit and no experiment here has a report. Run `dvc repro` and commit dvc.lock, "
            f"or `dvc exp run`.{reasons}"
        )
    board = make_board(results, key)
    return Board(board.metrics, board.num_videos, board.rows, [*board.apart, *unreadable])
