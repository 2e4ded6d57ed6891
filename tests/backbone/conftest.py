import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from frames_project import make_project


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Frames, tables and parameters of three tiny videos."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    make_project()
    return tmp_path
