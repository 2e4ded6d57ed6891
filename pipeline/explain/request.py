"""Which video and which moments are asked for."""

import difflib
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import PipelineError
from pipeline.settings import read_value
from pipeline.tables import INDEX, read_videos

_CLOCK = re.compile(r"(?:(\d+):)?(\d+):(\d\d(?:\.\d+)?)")


def find_video(asked: str, index: Path = INDEX) -> str:
    """The identifier of a video.

    Args:
        asked: Identifier, or the path of the file that videos.csv names.
        index: Folder of the tables.

    Raises:
        PipelineError: None of videos.csv; offers the nearest names.
    """
    table = read_videos(index)
    names = list(table["video"])
    if asked in names:
        return asked
    root = Path(read_value("data.root", str))
    for name, path in zip(names, table["path"], strict=True):
        if Path(asked).resolve() == (root / path).resolve():
            return str(name)
    near = difflib.get_close_matches(Path(asked).stem, names, n=3, cutoff=0.5)
    hint = f"Did you mean {' or '.join(near)}?" if near else f"It begins with {names[0]}."
    raise PipelineError(
        f"{asked}: none of the {len(names)} videos of {index / 'videos.csv'}, by name or path. "
        f"{hint}"
    )


def read_seconds(text: str) -> float:
    """A time as a player shows it, or a number of seconds.

    Raises:
        PipelineError: Neither of them.
    """
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    found = _CLOCK.fullmatch(text)
    if found is not None:
        hours, minutes, seconds = int(found[1] or 0), int(found[2]), float(found[3])
        if seconds < 60 and (found[1] is None or minutes < 60):
            return 3600 * hours + 60 * minutes + seconds
    raise PipelineError(
        f"--at {text}: no time. Write M:SS, H:MM:SS or seconds, such as 12:30, 1:02:30 or 750."
    )


def sample_at(video: str, text: str, time_s: NDArray[np.float64], fps: float) -> int:
    """The sample that is shown at a time.

    Args:
        video: Identifier.
        text: As read_seconds takes it.
        time_s: (T,) seconds of the samples, ascending.
        fps: Samples per second.

    Raises:
        PipelineError: It is no time, or the video is over by then.
    """
    seconds = read_seconds(text)
    end = float(time_s[-1]) + 1 / fps
    if seconds >= end:
        raise PipelineError(
            f"--at {text}: {video} is over by then; its last frame is at {clock(time_s[-1])}."
        )
    # Times are shown with few digits: what reads like a sample's time means this sample.
    return max(0, int(np.searchsorted(time_s, seconds + 1e-3, side="right")) - 1)


def clock(seconds: float) -> str:
    """A time as a player shows it, with as many digits after the second as it needs."""
    whole, hundredths = divmod(round(100 * seconds), 100)
    hours, rest = divmod(whole, 3600)
    minutes, second = divmod(rest, 60)
    text = f"{hours}:{minutes:02d}:{second:02d}" if hours else f"{minutes}:{second:02d}"
    return f"{text}.{hundredths:02d}".rstrip("0") if hundredths else text
