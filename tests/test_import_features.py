"""Other programs' features, in every form, become the files of the layout mstcn."""

import os
import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
import torch
from given_project import D, features_of, labels_of, settings, write_dataset

from pipeline.errors import PipelineError
from pipeline.feature_store import write_features
from pipeline.import_features.command import import_features
from pipeline.import_features.restricted_pickle import read_pickle
from pipeline.index import stage as index

NAMES = ("v1", "v2")
VIDEOS = {
    name: np.random.default_rng(seed).normal(size=(20 + seed, D)).astype(np.float32)
    for seed, name in enumerate(NAMES)
}
TABLE = "video,frames\nv1,20\nv2,21\n"


def hdf5_of_all():
    with h5py.File("all.h5", "w") as file:
        for name, array in VIDEOS.items():
            file[name] = array
    return "all.h5", {}


def hdf5_in_groups():
    with h5py.File("all.h5", "w") as file:
        file["other/v1"] = np.zeros((3, 3))
        for name, array in VIDEOS.items():
            file[f"resnet/{name}.mp4"] = array
    return "all.h5", {"key": "resnet"}


def hdf5_per_video():
    for name, array in VIDEOS.items():
        write_features(Path(f"many/{name}.h5"), array, np.arange(len(array)) * 1.0, {})
    return "many", {}


def npz():
    np.savez("all.npz", **VIDEOS)
    return "all.npz", {}


def npz_per_video():
    Path("many").mkdir()
    for name, array in VIDEOS.items():
        np.savez(f"many/{name}.npz", f=array, labels=np.zeros((len(array), 2)))
    return "many", {"key": "f"}


def npy():
    Path("many").mkdir()
    for name, array in VIDEOS.items():
        np.save(f"many/{name}.npy", array[None])  # some keep the axis of the batch
    return "many", {}


def torch_of_all():
    torch.save({name: torch.from_numpy(array) for name, array in VIDEOS.items()}, "all.pt")
    return "all.pt", {}


def torch_of_the_old_format():
    tensors = {name: torch.from_numpy(array) for name, array in VIDEOS.items()}
    torch.save(tensors, "all.pt", _use_new_zipfile_serialization=False)
    return "all.pt", {}


def torch_with_arrays():
    torch.save({name: {"feature": array, "fps": 1} for name, array in VIDEOS.items()}, "all.pth")
    return "all.pth", {"key": "feature"}


def matlab():
    scipy.io.savemat("all.mat", VIDEOS)
    return "all.mat", {}


def pickles(protocol):
    def dictionary():
        content = {n: {"x": a, "y": ["p"] * 3, "n": np.float32(2)} for n, a in VIDEOS.items()}
        Path("all.pkl").write_bytes(pickle.dumps(content, protocol))
        return "all.pkl", {"key": "x"}

    return dictionary


def pickle_of_tensors():
    content = {name: torch.from_numpy(array) for name, array in VIDEOS.items()}
    Path("all.pkl").write_bytes(pickle.dumps(content))
    return "all.pkl", {}


def pickle_end_to_end():
    whole = np.concatenate(list(VIDEOS.values())).astype(np.float64)
    Path("LFB_train.pkl").write_bytes(pickle.dumps(whole))
    Path("videos.csv").write_text(TABLE)
    return "LFB_train.pkl", {"videos": Path("videos.csv")}


def pickled_list():
    Path("all.pkl").write_bytes(pickle.dumps(list(VIDEOS.values())))
    Path("videos.csv").write_text(TABLE)
    return "all.pkl", {"videos": Path("videos.csv")}


FORMS = (
    *(hdf5_of_all, hdf5_in_groups, hdf5_per_video, npz, npz_per_video, npy, torch_of_all),
    *(torch_of_the_old_format, torch_with_arrays, matlab, pickles(2), pickles(4), pickles(5)),
    *(pickle_of_tensors, pickle_end_to_end, pickled_list),
)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
def test_every_form_gives_the_same_files(workplace, form):
    source, options = form()
    said = []
    import_features(Path(source), Path("out"), **options, say=said.append)
    assert [line.partition(":")[0] for line in said] == list(NAMES)
    for name, array in VIDEOS.items():
        np.testing.assert_array_equal(np.load(f"out/features/{name}.npy"), array.T)


def test_what_was_imported_is_read_by_the_layout(workplace):
    write_dataset(workplace / "given")
    arrays = {f"S{n}": features_of(labels_of(n), n) for n in range(6)}
    for path in (workplace / "given/features").iterdir():
        path.unlink()
    np.savez("all.npz", **arrays)
    said = []
    import_features(Path("all.npz"), Path("given"), say=said.append)
    assert all("turned, by its 60 labels" in line for line in said)
    settings()
    assert "the other way round" not in index.run()
    np.testing.assert_array_equal(np.load("given/features/S3.npy"), arrays["S3"])


class Evil:
    def __reduce__(self):
        return os.system, ("touch was_run",)


class Inflating:
    def __reduce__(self):
        import _codecs

        return _codecs.encode, ("x", "zlib_codec")


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (Evil(), r"posix\.system|nt\.system"),
        ([np.zeros(2), {"a": Evil()}], r"posix\.system|nt\.system"),
        (np.array([Evil()], dtype=object), r"posix\.system|nt\.system"),
        (Path("x"), r"pathlib\.\w*Path"),
        (Inflating(), "the encoding zlib_codec"),
        (getattr, r"builtins\.getattr"),
        (torch.nn.Linear(1, 1), r"torch\.nn\.modules\.linear\.Linear"),
    ],
)
def test_a_pickle_that_asks_for_more_than_arrays_is_named_and_not_run(workplace, content, name):
    Path("evil.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(PipelineError, match=rf"evil\.pkl: asks for ({name}), .* nothing of it"):
        read_pickle(Path("evil.pkl"))
    assert not Path("was_run").exists()


def test_objects_inside_a_tensor_s_bytes_are_not_run(workplace):
    from torch.storage import _load_from_bytes

    class Tensor:
        def __reduce__(self):
            return _load_from_bytes, (pickle.dumps(Evil()),)

    Path("evil.pkl").write_bytes(pickle.dumps({"v1": Tensor()}))
    with pytest.raises(PipelineError):
        read_pickle(Path("evil.pkl"))
    assert not Path("was_run").exists()


def test_objects_in_torch_files_and_arrays_are_refused(workplace):
    torch.save({"v1": Evil()}, "evil.pt")
    np.save("evil.npy", np.array([Evil()], dtype=object), allow_pickle=True)
    for source in ("evil.pt", "evil.npy"):
        with pytest.raises(PipelineError, match=r"refused, because reading them runs"):
            import_features(Path(source), Path("out"))
    assert not Path("was_run").exists()


def test_names_that_meet_values_that_are_not_finite_and_other_files_are_listed(workplace):
    for folder in ("a", "b"):
        Path(f"many/{folder}").mkdir(parents=True)
        np.save(f"many/{folder}/v1.npy", VIDEOS["v1"])
    wrong = VIDEOS["v2"].copy()
    wrong[3, 4] = np.inf
    np.save("many/v2.npy", wrong)
    np.save("many/v3.npy", VIDEOS["v2"])
    Path("out/features").mkdir(parents=True)
    np.save("out/features/v3.npy", VIDEOS["v1"].T)
    with pytest.raises(PipelineError) as caught:
        import_features(Path("many"), Path("out"), say=lambda _: None)
    for message in (
        "3 of many not written, 1 were",
        "many/b/v1.npy: a video of the name v1 came from many/a/v1.npy already",
        "many/v2.npy: 1 of 210 values are NaN or infinite",
        "out/features/v3.npy: holds other features of v3",
    ):
        assert message in str(caught.value)
    np.testing.assert_array_equal(np.load("out/features/v3.npy"), VIDEOS["v1"].T)


def test_a_second_import_writes_nothing(workplace):
    np.savez("all.npz", **VIDEOS)
    import_features(Path("all.npz"), Path("out"), say=lambda _: None)
    said = []
    assert "2 videos, 0 written" in import_features(Path("all.npz"), Path("out"), say=said.append)
    assert said == ["v1: is there already", "v2: is there already"]


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ({"v1": {"a": np.ones((2, 2)), "b": np.ones((2, 2))}}, {}, r"v1: holds a, b.*--key"),
        ({"v1": {"a": np.ones((2, 2))}}, {"key": "c"}, r"v1: no 'c'; holds a"),
        ({"v1": np.ones(3)}, {}, r"float64 of shape \(3,\), expected numbers, frames by"),
        ([np.ones((2, 2))], {}, "a list of arrays without names"),
        (np.ones((9, 2)), {"videos": Path("videos.csv")}, r"41 frames in all, but .* holds 9"),
        ([np.ones((2, 2))], {"videos": Path("videos.csv")}, r"2 videos, but .* holds 1 arrays"),
    ],
)
def test_content_without_a_meaning_is_refused(workplace, content, options, message):
    Path("videos.csv").write_text(TABLE)
    Path("x.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(PipelineError, match=message):
        import_features(Path("x.pkl"), Path("out"), **options)


def test_sources_and_tables_that_are_none_are_refused(workplace):
    Path("empty").mkdir()
    Path("x.txt").write_text("no features")
    Path("cut.h5").write_bytes(b"\x89HDF\r\n\x1a\n123")
    Path("cut.pkl").write_bytes(pickle.dumps(VIDEOS)[:300])
    np.savez("all.npz", **VIDEOS)
    Path("cut.npz").write_bytes(Path("all.npz").read_bytes()[:300])
    np.savez("objects.npz", v1=np.full((2, 2), None))
    Path("empty.mat").touch()
    for source, message in (
        ("empty", "holds no features"),
        ("x.txt", "not one that is read"),
        ("nowhere.pkl", "no such file"),
        ("cut.h5", "cannot be read as arrays"),
        ("cut.pkl", "not a whole pickle"),
        ("cut.npz", "cannot be read as arrays"),
        ("objects.npz", "cannot be read as arrays"),
        ("empty.mat", "not a whole .mat file"),
    ):
        with pytest.raises(PipelineError, match=message):
            import_features(Path(source), Path("out"))
    Path("x.pkl").write_bytes(pickle.dumps(np.ones((9, 2))))
    for text, message in (
        ("v1,9\n", r"videos\.csv:1: header 'v1,9'"),
        ("video,frames\nv1,x\n", ":2: frames 'x'"),
        ("video,frames\n\xe9,9\n", "not UTF-8"),
        ("video,frames\n../../v1,9\n", r"found the name '\.\./\.\./v1', which no file can have"),
        ("video,frames\n,9\n", "found the name ''"),
    ):
        Path("videos.csv").write_text(text, encoding="latin-1")
        with pytest.raises(PipelineError, match=message):
            import_features(Path("x.pkl"), Path("out"), videos=Path("videos.csv"))
    with pytest.raises(PipelineError, match=r"none\.csv: no such file"):
        import_features(Path("x.pkl"), Path("out"), videos=Path("none.csv"))
    assert not list(Path().rglob("v1.npy"))
