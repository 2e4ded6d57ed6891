import os
import shutil
from collections import Counter
from pathlib import Path

import pytest

# One thread for each test process and for what it starts, before any of them loads torch or
# NumPy: as many processes run as there are cores.
for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")


def pytest_xdist_auto_num_workers(config):
    """One more than there are cores: the tests of DVC mostly wait for the commands they start."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    return (os.cpu_count() or 1) + 1


def pytest_collection_modifyitems(items):
    """Files with the most slow tests come first, so that no worker is left with one at the end."""
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path])


_SHARED = Path(os.environ.get("SURGPHASE_SHARED_DATA", Path(__file__).parents[2] / "shared/data"))


@pytest.fixture
def shared_data() -> Path:
    """Real surgical videos, labels and predictions; not part of the project."""
    if not _SHARED.is_dir():
        pytest.skip(f"no real data at {_SHARED} (set SURGPHASE_SHARED_DATA)")
    return _SHARED


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """An empty folder as the current one, with a store of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    return tmp_path


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with features, labels and a model, ready to be evaluated, as the current one."""
    from scored_project import make_project

    monkeypatch.chdir(tmp_path)
    make_project()
    return tmp_path


@pytest.fixture(scope="session")
def _evaluated(tmp_path_factory):
    """The folder of `project` after the evaluate stage, made once per test process."""
    from scored_project import make_project

    from pipeline.evaluate import stage

    folder, before = tmp_path_factory.mktemp("evaluated"), Path.cwd()
    os.chdir(folder)
    try:
        make_project()
        stage.run()
    finally:
        os.chdir(before)
    return folder


@pytest.fixture
def evaluated(_evaluated, tmp_path, monkeypatch):
    """A copy of `project` in which the evaluate stage has run, as the current folder."""
    shutil.copytree(_evaluated, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def dvc_project(tmp_path_factory):
    """Makes a copy, in a folder that is not there yet, of a project whose stages have run."""
    from dvc_project import finished_project
    from warm_python import warm_python

    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with warm_python() as commands:
        yield lambda folder: finished_project(shared, folder, commands)
