"""Burn a video's predicted phases into a copy of it."""

from pathlib import Path

from pipeline.overlay.band import Band
from pipeline.overlay.copying import write_copy
from pipeline.view.inputs import read_shown


def overlay(asked: str, prediction: Path | None, out: Path) -> str:
    """Write the copy.

    Args:
        asked: The video, as read_shown takes it.
        prediction: Its table; None is reports/predictions/<video>.csv.
        out: The MP4 file.

    Returns:
        Where it is.

    Raises:
        PipelineError: As read_shown and write_copy.
    """
    shown = read_shown(asked, prediction)
    write_copy(shown.path, out, "overlay", Band(shown))
    return f"Wrote {out.resolve()}"
