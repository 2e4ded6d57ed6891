import shutil

import pytest
from index_project import settings, table
from videos import write_video


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """Two seconds of video, 50 frames."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    write_video(path, 50)
    return path


@pytest.fixture
def ours(workplace, clip):
    """A folder of two videos and a table, in the generic layout."""
    folder = workplace / "data/ours"
    folder.mkdir(parents=True)
    for name in ("v1", "v2"):
        shutil.copy(clip, folder / f"{name}.mp4")
    table(folder, "v1,0,1,A,train", "v1,1,2,B,train", "v2,0.5,2,A,test")
    settings()
    return folder
