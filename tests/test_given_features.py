"""Features that a data set brings itself, from the index to the report, without any video."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.io
from given_project import CLASSES, FPS, D, features_of, labels_of, settings, write_dataset
from typer.testing import CliRunner

from pipeline.all_params import check_params
from pipeline.backbone import stage as backbone
from pipeline.cli import app
from pipeline.efficiency.measure import measure
from pipeline.errors import PipelineError
from pipeline.evaluate import stage as evaluate
from pipeline.feature_store import read_features
from pipeline.features import stage as features
from pipeline.frames import stage as frames
from pipeline.given_features import read_array, shape_of
from pipeline.index import stage as index
from pipeline.saliency.models import read_models
from pipeline.sequences import read_split
from pipeline.tables import read_labels, read_phases, read_splits, read_videos
from pipeline.train import stage as train


@pytest.fixture
def given(workplace):
    write_dataset(workplace / "given")
    settings()
    return workplace / "given"


def prepare():
    """The stages up to the features; what the last one says."""
    index.run()
    frames.run()
    backbone.run()
    return features.run()


def test_a_data_set_without_videos_goes_from_the_index_to_the_report(given):
    check_params()
    prepare()
    train.run()
    assert "Accuracy" in evaluate.run()
    page = Path("reports/index.html").read_text()
    assert "none here: the data set brings its features itself" in page
    assert "The backbone is untrained" not in page and "GFLOP" not in page
    assert "the features were given" in page and "data:image/jpeg" not in page
    metrics = json.loads(Path("reports/metrics.json").read_text())["test"]
    assert metrics["frame"]["accuracy"]["mean"] > 0.9
    table = pd.read_csv("reports/predictions/S4.csv")
    assert table["truth"].tolist() == labels_of(4)
    for refusing in (measure, read_models):
        with pytest.raises(PipelineError, match="brings its features"):
            refusing()
    check_that_score_agrees()


def check_that_score_agrees():
    Path("truth").mkdir()
    for path in Path("reports/predictions").iterdir():
        pd.read_csv(path)[["time_s", "truth"]].to_csv(f"truth/{path.name}", index=False)
    told = CliRunner().invoke(
        app, ["score", "reports/predictions", "truth", "--layout", "csv", "--json", "scored.json"]
    )
    assert told.exit_code == 0
    scored = json.loads(Path("scored.json").read_text())
    details = json.loads(Path("reports/details.json").read_text())["test"]
    for group in ("frame", "segment"):
        for name, found in scored[group].items():
            if isinstance(found, dict):  # without the intervals, of another number of draws
                found = {key: value for key, value in found.items() if "_ci_" not in key}
                assert found == {key: details[group][name][key] for key in found}, name


def test_the_index_holds_what_the_files_tell(given):
    assert "4 videos" not in index.run()
    assert read_phases() == CLASSES
    assert read_splits()["split"].value_counts().to_dict() == {"train": 3, "test": 2, "val": 1}
    videos = read_videos()
    assert videos["path"][0] == "features/S0.npy" and videos["frames"][0] == 60
    assert videos["width"].isna().all() and videos["duration_s"][0] == 60 / FPS
    labels = read_labels()
    assert labels[labels["video"] == "S0"]["end_s"].max() == pytest.approx(60 / FPS, abs=1e-6)


def test_each_frame_has_its_own_row_and_label_at_any_rate(given):
    settings(frames__fps=5)
    prepare()
    kept = read_features(Path("features/videos/S1.h5"))
    labels = labels_of(1)
    np.testing.assert_array_equal(kept.features, features_of(labels, 1).T[::3])
    assert kept.attributes["fps"] == 5
    sequence = next(s for s in read_split("test") if s.video == "S5")
    assert [CLASSES[number] for number in sequence.labels] == labels_of(5)[::3]


def test_features_the_other_way_round_are_turned_and_the_index_says_so(given):
    for path in (given / "features").iterdir():
        np.save(path, np.load(path).T)
    assert "the other way round" in index.run()
    prepare()
    kept = read_features(Path("features/videos/S1.h5")).features
    np.testing.assert_array_equal(kept, features_of(labels_of(1), 1).T)


def test_a_damaged_matlab_file_is_named(workplace):
    scipy.io.savemat("v.mat", {"A": np.ones((9, 8))}, do_compression=True)
    data = bytearray(Path("v.mat").read_bytes())
    data[-4:] = b"xxxx"  # the checksum
    for content in (b"", bytes(data)):
        Path("v.mat").write_bytes(content)
        for read in (read_array, shape_of):
            with pytest.raises(PipelineError, match=r"v\.mat: not a whole \.mat file"):
                read(Path("v.mat"))


def test_matlab_files_are_read(given):
    for path in list((given / "features").iterdir()):
        scipy.io.savemat(path.with_suffix(".mat"), {"A": np.load(path)})
        path.unlink()
    prepare()
    kept = read_features(Path("features/videos/S1.h5")).features
    np.testing.assert_array_equal(kept, features_of(labels_of(1), 1).T)


def test_lengths_that_differ_a_little_are_cut_and_named(given):
    path = given / "groundTruth/S0.txt"
    path.write_text("\n".join([*labels_of(0), "cut", "cut"]) + "\n")
    path = given / "groundTruth/S1.txt"
    path.write_text("\n".join(labels_of(1)[:-1]) + "\n")
    note = index.run()
    assert "in 2 of 6 videos" in note and "S0 (60 frames, 62 labels)" in note
    prepare()
    lengths = {s.video: (s.labels >= 0).sum() for s in read_split("train") + read_split("val")}
    assert lengths["S0"] == 60 and lengths["S1"] == 59


def test_all_that_is_wrong_is_listed_with_file_and_line(given):
    labels = labels_of(0)
    labels[6] = "stir"
    (given / "groundTruth/S0.txt").write_text("\n".join(labels) + "\n")
    (given / "groundTruth/S1.txt").write_text("cut\n" * 90)
    (given / "groundTruth/S2.txt").unlink()
    with (given / "splits/test.split1.bundle").open("a") as file:
        file.write("S9.txt\nS0.txt\n")
    with (given / "mapping.txt").open("a") as file:
        file.write("three stir\n2 stir\n")
    with pytest.raises(PipelineError) as caught:
        index.run()
    for message in (
        "groundTruth/S0.txt:7: 'stir' is not in mapping.txt (background, take, cut)",
        "features/S1.npy: 10 x 60, but groundTruth/S1.txt has 90 labels",
        "groundTruth/S2.txt: missing",
        "test.split1.bundle:3: 'S9' has no features",
        "test.split1.bundle:4: S0 is in train already",
        "mapping.txt:4: found 'three stir'",
        "mapping.txt:5: '2 stir': number or class is there twice",
    ):
        assert message in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data__fps": None}, r"data\.fps is null.*30 for.*50Salads"),
        ({"data__layout": "csv"}, r"data\.fps is 15, but the videos.*tell their own"),
        ({"backbone__mode": "adabn"}, "brings its features itself"),
        ({"split__val_share": 0.0}, "gives no validation videos"),
    ],
)
def test_params_that_do_not_fit_are_refused_at_once(given, changes, message):
    settings(**changes)
    with pytest.raises(PipelineError, match=message):
        check_params()


def test_an_unknown_bundle_and_a_rate_that_does_not_divide_name_what_is_allowed(given):
    settings(split__bundle=3)
    with pytest.raises(PipelineError, match=r"found 3\. Allowed, by the files of splits/: 1\."):
        index.run()
    settings(frames__fps=2)
    index.run()
    with pytest.raises(PipelineError, match=r"found 2, but .* 15 per second.* Allowed: 15,"):
        frames.run()


def test_features_that_are_not_finite_or_not_whole_are_listed_and_the_others_kept(given):
    index.run()
    frames.run()
    backbone.run()
    wrong = features_of(labels_of(2), 2)
    wrong[0, :3] = np.nan
    np.save(given / "features/S2.npy", wrong)
    (given / "features/S3.npy").write_bytes((given / "features/S3.npy").read_bytes()[:300])
    with pytest.raises(PipelineError, match=r"2 of 6 (.|\n)*3 of 600 values are NaN(.|\n)*S3\.npy"):
        features.run()
    assert len(list(Path(".store/features").glob("*.h5"))) == 4


def test_a_second_run_converts_nothing_and_leaves_the_same_bytes(given):
    assert "6 converted" in prepare()
    assert "0 converted" in prepare()
    before = {path.name: path.read_bytes() for path in Path("features/videos").iterdir()}
    assert "0 converted" in features.run()
    assert {path.name: path.read_bytes() for path in Path("features/videos").iterdir()} == before


@pytest.mark.parametrize("name", ["50salads-mid", "gtea"])
def test_published_predictions_are_scored_as_the_reference_code_does(shared_data, name):
    from pipeline.metrics.summary import summarise
    from pipeline.scored_video import ScoredVideo

    expected = json.loads((shared_data / "segmentation/expected.json").read_text())[name]
    archive = np.load(shared_data / f"segmentation/{name}.npz")
    pairs = zip(
        sorted(key for key in archive.files if key.startswith("true")),
        sorted(key for key in archive.files if key.startswith("pred")),
        strict=True,
    )
    videos = {
        truth: ScoredVideo(archive[truth].astype(np.int64), archive[found].astype(np.int64))
        for truth, found in pairs
    }
    classes = ["background", *(f"action{number}" for number in range(1, expected["classes"]))]
    segment = summarise(videos, classes, 1.0, 10, 0)["segment"]
    assert 100 * segment["edit"]["mean"] == pytest.approx(expected["edit"], abs=1e-4)
    for percent in (10, 25, 50):
        found = 100 * segment[f"f1_{percent}"]["per_video_mean"]
        assert found == pytest.approx(expected[f"f1@{percent}"], abs=1e-4)


def test_published_labels_are_read_frame_by_frame(shared_data, workplace):
    archive = np.load(shared_data / "segmentation/gtea.npz")
    truths = sorted(key for key in archive.files if key.startswith("true"))[:6]
    folder = workplace / "given"
    write_dataset(folder)
    known = sorted({int(label) for key in truths for label in archive[key]})
    (folder / "mapping.txt").write_text("".join(f"{label} c{label}\n" for label in known))
    for number, key in enumerate(truths):
        numbers = archive[key].astype(int)
        (folder / f"groundTruth/S{number}.txt").write_text("".join(f"c{n}\n" for n in numbers))
        np.save(folder / f"features/S{number}.npy", np.ones((D, len(numbers)), np.float32))
    settings()
    prepare()
    for sequence in read_split("train") + read_split("val") + read_split("test"):
        true = archive[truths[int(sequence.video[1:])]].astype(int)
        np.testing.assert_array_equal(np.array(known)[sequence.labels], true)
