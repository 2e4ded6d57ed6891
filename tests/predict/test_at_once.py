"""A process that the system kills costs its own video and no other."""

import os
import signal
from functools import partial
from pathlib import Path

import pytest

from pipeline.errors import VideoError
from pipeline.predict.at_once import results_at_once


def too_large(video: Path, tries: Path) -> str:
    with (tries / video.name).open("a") as file:
        file.write("x")
    if video.name == "large":
        os.kill(os.getpid(), signal.SIGKILL)
    return video.name.upper()


def start(threads, free):
    assert threads >= 1 and free.get() == "cpu"


def test_a_killed_process_names_its_video_and_all_others_are_done(tmp_path):
    names, said = ["a", "large", "b", "c"], []
    work = partial(too_large, tries=tmp_path)
    found = dict(results_at_once(work, start, [Path(n) for n in names], ["cpu"] * 2, said.append))
    assert sorted(map(str, found)) == sorted(names)
    assert [found[Path(name)]() for name in "abc"] == ["A", "B", "C"]
    with pytest.raises(VideoError, match=r"large.*memory ran out.*--jobs 1.*--batch"):
        found[Path("large")]()
    assert len(said) == 1 and "going on with 1 video at once (--jobs 1)" in said[0]
    assert len((tmp_path / "a").read_text()) <= 2  # what was finished stays
