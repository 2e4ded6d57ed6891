import os
import shutil
from pathlib import Path

import pytest
from features_project import make_project


@pytest.fixture(scope="session")
def _made(tmp_path_factory):
    """The folder of `project`, made once per test process."""
    folder, before = tmp_path_factory.mktemp("features"), Path.cwd()
    os.chdir(folder)
    try:
        make_project(folder)
    finally:
        os.chdir(before)
    return folder


@pytest.fixture
def project(_made, workplace):
    """Two videos of frames and a pinned random backbone."""
    shutil.copytree(_made, workplace, dirs_exist_ok=True)
    return workplace
