import pytest
from features_project import make_project


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Two videos of frames and a pinned random backbone."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    make_project(tmp_path)
    return tmp_path
