"""What a training shows while it runs: a line per epoch, and curves by dvclive."""

from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from pipeline.progress import Mode, Progress
from pipeline.training.history import Epoch

if TYPE_CHECKING:
    from dvclive.live import Live


class Reporter:
    """Use it as a context, and call it with each row of the curves.

    Args:
        stage: Its name begins every line.
        epochs: At most.
        mode: As runtime.progress; "none" where another process shows the same training.
        curves: Folder for dvclive, which empties it first; None: no curves.
    """

    def __init__(self, stage: str, epochs: int, mode: Mode, curves: Path | None) -> None:
        self._progress = Progress(stage, epochs, mode)
        self._curves = curves
        self._live: Live | None = None

    def __enter__(self) -> Self:
        self._progress.__enter__()
        if self._curves is not None:
            from dvclive.live import Live

            self._live = Live(str(self._curves), dvcyaml=None, save_dvc_exp=False, report=None)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.end()  # type: ignore[no-untyped-call]
        self._progress.__exit__(kind, error, trace)

    def __call__(self, row: Epoch) -> None:
        """One more epoch has ended."""
        if self._live is not None:
            for name, value in asdict(row).items():
                if name != "epoch" and value is not None:
                    self._live.log_metric(name, value)
            self._live.next_step()  # type: ignore[no-untyped-call]
        note = f"loss {row.train_loss:.4f}"
        if row.val_macro_f1 is not None:
            note += f"  val loss {row.val_loss:.4f}  val macro F1 {row.val_macro_f1:.3f}"
        self._progress.step(f"epoch {row.epoch}", note)

    def say(self, line: str) -> None:
        """A line between epochs."""
        self._progress.say(line)
