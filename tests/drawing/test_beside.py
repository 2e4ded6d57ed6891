"""Pictures are drawn by another process, and what goes wrong there is said here."""

import os
import signal
from pathlib import Path

import pytest

from pipeline.drawing.beside import drawn_beside
from pipeline.errors import PipelineError


def write_process(path, text):
    path.write_text(f"{os.getpid()} {text}")


def fail(path):
    raise PipelineError(f"{path.name}: no room")


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def test_pictures_are_there_in_the_present_folder_when_the_context_is_left(tmp_path, monkeypatch):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        with drawn_beside() as draw:
            draw(write_process, Path("picture"), name)
        process, text = Path("picture").read_text().split()
        assert text == name
        assert int(process) != os.getpid()


def test_an_error_is_raised_where_the_pictures_were_asked_for(tmp_path):
    with pytest.raises(PipelineError, match="picture: no room"), drawn_beside() as draw:
        draw(fail, tmp_path / "picture")


def test_a_killed_process_is_named_and_the_next_report_has_another(tmp_path):
    with pytest.raises(PipelineError, match="was killed"), drawn_beside() as draw:
        draw(die)
    with drawn_beside() as draw:
        draw(write_process, tmp_path / "picture", "again")
    assert (tmp_path / "picture").read_text().endswith("again")
