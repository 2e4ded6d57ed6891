"""Progress of everything over two seconds: a bar on a terminal, one line per item otherwise."""

import sys
import time
from types import TracebackType
from typing import Literal, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

Mode = Literal["auto", "bar", "lines", "none"]
# Seconds between two lines on an item that is under way.
_PART_S = 30.0


class Progress:
    """Counts finished items. Goes to standard error, so that results stay apart.

    Args:
        what: What is being done, for example "frames".
        total: Number of items.
        mode: "auto" is a bar on a terminal and lines elsewhere.
    """

    def __init__(self, what: str, total: int, mode: Mode = "auto") -> None:
        self._what = what
        self._total = total
        self._done = 0
        self._started = self._said = time.monotonic()
        if mode == "auto":
            mode = "bar" if sys.stderr.isatty() else "lines"
        self._mode = mode
        self._bar: RichProgress | None = None

    def __enter__(self) -> Self:
        self._started = self._said = time.monotonic()
        if self._mode == "bar":
            self._bar = RichProgress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}"),
                console=Console(stderr=True),
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task(self._what, total=self._total, note="")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def step(self, name: str, note: str = "") -> None:
        """One more item is finished."""
        self._done += 1
        if self._bar is not None:
            self._bar.update(self._task, completed=self._done, note=f"{name} {note}".strip())
        elif self._mode == "lines":
            elapsed_s = time.monotonic() - self._started
            tail = f"  {note}" if note else ""
            self.say(f"{self._what} {self._done}/{self._total}  {name}{tail}  [{elapsed_s:.0f} s]")

    def part(self, name: str, share: float, left: float) -> None:
        """How far the item is that is under way; in lines, at most every half minute.

        Args:
            name: Of the item.
            share: Of it, 0 to 1.
            left: Of all the work there is, 0 to 1; says how long it takes.
        """
        now = time.monotonic()
        if self._bar is not None:
            self._bar.update(self._task, completed=self._done + share, note=name)
        elif self._mode == "lines" and now - self._said >= _PART_S:
            self._said = now
            left_s = (now - self._started) * left / max(1 - left, 1e-9)
            self.say(
                f"{self._what} {self._done}/{self._total}  {name} {share:.0%}  "
                f"[{now - self._started:.0f} s, about {_spoken(left_s)} left]"
            )

    def say(self, line: str) -> None:
        """A line that stays, above the bar where there is one."""
        if self._bar is not None:
            self._bar.console.print(line, highlight=False, markup=False)
        else:
            print(line, file=sys.stderr, flush=True)


def _spoken(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
