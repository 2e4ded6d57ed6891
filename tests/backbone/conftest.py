import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import tiny
from frames_project import make_project

from pipeline.networks.backbones import FAMILIES


@pytest.fixture(autouse=True)
def tiny_family(monkeypatch):
    """A family of backbones that train in milliseconds."""
    monkeypatch.setitem(FAMILIES, "tiny", tiny)


@pytest.fixture
def without_pictures(monkeypatch):
    """No picture of a training is drawn: they take longer than the training itself."""
    from pipeline.backbone import report

    for picture in ("training_picture", "confusion_picture"):
        monkeypatch.setattr(report, picture, lambda *_: None)


@pytest.fixture
def project(workplace):
    """Frames, tables and parameters of four tiny videos."""
    make_project()
    return workplace
