"""The tables of docs/metrics.md, written from table.py.

python -m pipeline.metrics.documentation
"""

import re
from collections.abc import Sequence
from pathlib import Path

from pipeline.metrics.table import METRICS, Metric
from pipeline.metrics.video_level import VIDEO_METRICS

PAGE = Path("docs/metrics.md")
_TABLE = re.compile(r"(<!-- table: (.+?) -->\n).*?(<!-- end of table -->)", re.S)
_UNITS = {"%": "fraction, shown in %", "s": "s", "ratio": "number"}


def with_tables(page: str) -> str:
    """The page with the content of each `<!-- table: NAME -->` brought up to date.

    NAME is the beginning of the keys, `metrics.json` or `videos`.
    """

    def filled(found: re.Match[str]) -> str:
        return f"{found[1]}{_table(found[2])}\n{found[3]}"

    return _TABLE.sub(filled, page)


def _table(name: str) -> str:
    if name == "metrics.json":
        kept = [metric for metric in METRICS if metric.kept]
        return _rows(
            ("key below `test` and `val`", "what people call it", "interval"),
            [(f"`{m.key}`", m.label, _interval(m) if m.kept == "interval" else "-") for m in kept],
        )
    rows = VIDEO_METRICS if name == "videos" else [m for m in METRICS if m.key.startswith(name)]
    if not rows:
        raise ValueError(f"{PAGE}: no metric is called {name}")
    return _rows(
        ("key", "what people call it", "unit", "better", "meaning"),
        [(f"`{m.key}`", m.label, _UNITS[m.unit], m.better, m.meaning) for m in rows],
    )


def _interval(metric: Metric) -> str:
    return ", ".join(f"`{key.rpartition('.')[2]}`" for key in metric.interval_keys)


def _rows(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    """Bring docs/metrics.md up to date."""
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
