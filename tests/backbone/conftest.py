import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from frames_project import make_project


@pytest.fixture
def project(workplace):
    """Frames, tables and parameters of four tiny videos."""
    make_project()
    return workplace
