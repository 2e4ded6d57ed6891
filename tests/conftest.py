import os
from pathlib import Path

import pytest

_SHARED = Path(os.environ.get("SURGPHASE_SHARED_DATA", Path(__file__).parents[2] / "shared/data"))


@pytest.fixture
def shared_data() -> Path:
    """Real surgical videos, labels and predictions; not part of the project."""
    if not _SHARED.is_dir():
        pytest.skip(f"no real data at {_SHARED} (set SURGPHASE_SHARED_DATA)")
    return _SHARED


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with features, labels and a model, ready to be evaluated, as the current one."""
    from scored_project import make_project

    monkeypatch.chdir(tmp_path)
    make_project()
    return tmp_path
