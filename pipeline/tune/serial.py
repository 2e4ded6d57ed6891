"""Trials one at a time: `dvc exp run --temp`, which leaves the working folder alone."""

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import psutil

from pipeline.paths import TRAIN_REPORT
from pipeline.tune.trials import INTERRUPTED, Outcome, dvc, environment, reason_in, result_of

_CURVE = TRAIN_REPORT / "plots/metrics/val_macro_f1.tsv"
_PATIENCE_S = 60


class Serial:
    """Runs one trial at a time.

    Two `dvc exp run --temp` at once may take each other's experiment, so this is not for more.

    Args:
        logs: Folder for what each trial prints.
    """

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, overrides: list[str]) -> None:
        """Begin a trial, in a session of its own: Ctrl-C must not reach it before we do."""
        self._logs.mkdir(parents=True, exist_ok=True)
        settings = [part for override in overrides for part in ("-S", override)]
        with self._log(name).open("wb") as log:
            self._processes[name] = subprocess.Popen(
                dvc("exp", "run", "--temp", "-n", name, *settings),
                env=environment(),
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def ended(self, name: str) -> Outcome | None:
        """How it ended; a trial of a tune that was killed goes on by itself and is waited for."""
        process = self._processes.get(name)
        if process is None:
            if _left_behind(name):
                return None
            metrics = result_of(name)
            return Outcome(metrics, "" if metrics else INTERRUPTED)
        if process.poll() is None:
            return None
        metrics = result_of(name) if process.returncode == 0 else None
        if metrics is None:
            return Outcome(None, reason_in(self._log(name).read_text(errors="replace")))
        return Outcome(metrics)

    def epochs(self, name: str) -> list[float]:
        """From the curve in the copy of the repository in which the train stage runs."""
        process = self._processes.get(name)
        if process is None:
            return []
        with suppress(psutil.Error):
            for child in psutil.Process(process.pid).children(recursive=True):
                if child.cmdline()[-2:] == ["pipeline", "train"]:
                    return _curve(Path(child.cwd()) / _CURVE)
        return []

    def stop(self, name: str) -> None:
        """As Ctrl-C would; DVC removes its copy of the repository, training keeps its state."""
        process = self._processes.get(name)
        if process is None or process.poll() is not None:
            return
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _log(self, name: str) -> Path:
        return self._logs / f"{name}.log"


def _curve(path: Path) -> list[float]:
    """Values of `step <tab> value`; the last line may be half-written."""
    if not path.is_file():
        return []
    lines = path.read_text().split("\n")[1:-1]
    return [float(line.split("\t")[1]) for line in lines]


def _left_behind(name: str) -> bool:
    """Whether a trial of a process that was killed still runs in this repository."""
    for process in psutil.process_iter(["cmdline", "cwd"]):
        command = process.info["cmdline"] or []
        if ["--temp", "-n", name] in [command[i : i + 3] for i in range(len(command))]:
            return bool(process.info["cwd"] == str(Path.cwd()))
    return False
