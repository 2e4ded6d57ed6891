import pytest
from features_project import make_project


@pytest.fixture
def project(workplace):
    """Two videos of frames and a pinned random backbone."""
    make_project(workplace)
    return workplace
