import json
import shutil
import struct
import zipfile
from pathlib import Path

import pytest
from tiny_models import CLASSES, make_models
from videos import write_video

from pipeline.bundle.opened import opened_models
from pipeline.bundle.pack import bundle
from pipeline.errors import PipelineError
from pipeline.phases import CHOLEC80
from pipeline.predict.command import Request, predict_videos

BUNDLE = Path("model.zip")


@pytest.fixture(scope="module")
def _made(tmp_path_factory):
    """Models and their bundle, made once."""
    folder = tmp_path_factory.mktemp("made")
    make_models(folder / "models")
    bundle(folder / "models", folder / BUNDLE, folder / "reports")
    return folder


@pytest.fixture
def bundled(_made, workplace):
    shutil.copytree(_made, workplace, dirs_exist_ok=True)
    return workplace


def test_a_bundle_alone_predicts_what_its_models_did(bundled, tmp_path_factory, monkeypatch):
    write_video(Path("op.mp4"), 30, fps=5)
    predict_videos(["op.mp4"], Request(Path("models"), Path("out"), device="cpu"))
    expected = {p.name: p.read_bytes() for p in Path("out").iterdir()}
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    BUNDLE.rename(elsewhere / "handed_on.zip")
    Path("op.mp4").rename(elsewhere / "op.mp4")
    monkeypatch.chdir(elsewhere)
    predict_videos(["op.mp4"], Request(Path("handed_on.zip"), Path("out"), device="cpu"))
    assert {p.name: p.read_bytes() for p in Path("out").iterdir()} == expected


def test_the_same_models_give_the_same_bytes(bundled):
    before = BUNDLE.read_bytes()
    bundle(Path("models"), BUNDLE, Path("reports"))
    assert BUNDLE.read_bytes() == before
    with zipfile.ZipFile(BUNDLE) as archive:
        assert archive.testzip() is None
        assert sorted(archive.namelist()) == [
            *("README.md", "backbone.safetensors", "classes.json"),
            *("manifest.json", "parameters.json", "temporal.safetensors"),
        ]
        assert json.loads(archive.read("classes.json")) == list(CLASSES)
        assert json.loads(archive.read("parameters.json"))["model.hidden"] == "8"


def test_the_card_says_what_is_not_known(bundled):
    with zipfile.ZipFile(BUNDLE) as archive:
        card = archive.read("README.md").decode()
    assert "Not recorded: the bundle was made without reports/." in card
    assert "- This bundle: not recorded." in card
    assert "weights are random" in card
    assert f"| Classes without a frame in training | {CLASSES[2]} |" in card


def test_the_card_tells_figures_with_intervals_and_confusions(evaluated):
    details = json.loads(Path("reports/details.json").read_text())["test"]
    make_models(Path("models"), classes=list(CHOLEC80), classes_seen=list(CHOLEC80))
    bundle(Path("models"), BUNDLE, Path("reports"), licence="CC BY 4.0")
    with zipfile.ZipFile(BUNDLE) as archive:
        card = archive.read("README.md").decode()
        assert json.loads(archive.read("metrics.json")) == json.loads(
            Path("reports/metrics.json").read_text()
        )
    accuracy = details["frame"]["accuracy"]
    row = next(line for line in card.splitlines() if line.startswith("| Accuracy"))
    for value in ("mean", "ci_low", "ci_high"):
        assert f"{100 * accuracy[value]:.1f}" in row
    assert " taken for " in card
    assert "| Layout | csv |" in card
    assert "| Test videos | 2 |" in card
    assert "- This bundle: CC BY 4.0." in card


def test_a_report_on_other_classes_is_not_taken_for_theirs(evaluated):
    make_models()
    with pytest.raises(PipelineError, match="so that report and models belong together"):
        bundle(Path("models"), BUNDLE, Path("reports"))
    assert not BUNDLE.exists()


def test_models_that_cannot_predict_by_themselves_are_not_bundled(workplace):
    make_models(features={"precision": "int8"})
    with pytest.raises(PipelineError, match="is int8"):
        bundle(Path("models"), BUNDLE, Path("reports"))
    assert not BUNDLE.exists()


def card_of_answers(task, table, **changes):
    """The model card of a bundle of models with one answer per video and this table of theirs."""
    task = {"kind": "video", "target": "skill", "pooling": "mean"} | task
    make_models(task=task, **changes)
    Path("reports/predictions").mkdir(parents=True, exist_ok=True)
    Path("reports/predictions/videos.csv").write_text(table)
    bundle(Path("models"), BUNDLE, Path("reports"))
    with zipfile.ZipFile(BUNDLE) as archive:
        return archive.read("README.md").decode()


SKILLS = """video,truth,prediction,p_1_novice,p_2_expert,p_3_master
a,1_novice,2_expert,0.2,0.8,0
b,1_novice,1_novice,0.9,0.1,0
c,3_master,2_expert,0.4,0.6,0
"""


def test_the_card_of_answers_to_whole_videos_tells_what_is_asked(workplace):
    classes = ["1_novice", "2_expert"]
    card = card_of_answers({"scale": "ordinal"}, SKILLS, classes=classes, classes_seen=classes)
    assert "One answer to a whole surgical video, its skill: 2 classes" in card
    assert "| Predicts | skill, ordinal |" in card
    assert "- 1_novice taken for 2_expert: 1 of its videos, 50 %" in card
    assert "- 3_master taken for 2_expert: 1 of its videos, 100 %" in card
    assert "| Classes without a video in training | none |" in card
    assert "| task.target | skill |" in card
    assert "no judgement of a surgeon" in card and "Phases" not in card


def test_the_card_of_a_number_tells_the_scores_of_the_training(workplace):
    scores = "video,truth,prediction\na,12,14.5\n"
    task = {"scale": "number", "mean": 12.25, "std": 4.0}
    card = card_of_answers(task, scores, classes=[], classes_seen=[])
    assert "its skill: a number" in card
    assert "| Scores of the training videos | mean 12.25, standard deviation 4 |" in card
    assert "Known confusions" not in card and "Classes" not in card and "task.mean" not in card
    with pytest.raises(PipelineError, match="so that report and models belong together"):
        card_of_answers(task, SKILLS, classes=[], classes_seen=[])


def test_a_report_on_phases_is_not_that_of_answers(evaluated):
    make_models(task={"kind": "video", "target": "skill", "scale": "nominal", "pooling": "mean"})
    with pytest.raises(PipelineError, match=r"has no videos\.csv.*`dvc repro`"):
        bundle(Path("models"), BUNDLE, Path("reports"))


def rewritten(change):
    """The bundle again, its files as `change` leaves them, a dictionary of bytes by name."""
    with zipfile.ZipFile(BUNDLE) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    change(files)
    with zipfile.ZipFile(BUNDLE, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)


def altered(files):
    data = bytearray(files["temporal.safetensors"])
    data[-1] ^= 1
    files["temporal.safetensors"] = bytes(data)


def manifest(change):
    def apply(files):
        content = json.loads(files["manifest.json"])
        change(content)
        files["manifest.json"] = json.dumps(content).encode()

    return apply


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda files: files.update({"../evil": b"x"}), r"'\.\./evil', which leads out"),
        (lambda files: files.update({"/etc/evil": b"x"}), "'/etc/evil', which leads out"),
        (lambda files: files.update({"C:\\evil": b"x"}), "which leads out"),
        (lambda files: files.update({"weights.pkl": b"x"}), "'weights.pkl', which does not belong"),
        (altered, r"temporal\.safetensors is not what its manifest\.json says"),
        (lambda files: files.pop("backbone.safetensors"), r"lacks backbone\.safetensors"),
        (lambda files: files.pop("manifest.json"), r"lacks manifest\.json"),
        (lambda files: files.update({"manifest.json": b"{"}), "cannot be read"),
        (lambda files: files.update({"manifest.json": b"[" * 100_000}), "cannot be read"),
        (manifest(lambda m: m.update(format=99)), "has format 99"),
        (manifest(lambda m: m["files"].update({"x": {}})), "differ in x"),
        (manifest(lambda m: m["files"].update({"README.md": "x"})), "cannot be read"),
    ],
)
def test_a_bundle_that_is_not_whole_or_not_one_is_refused(bundled, change, message):
    rewritten(change)
    with pytest.raises(PipelineError, match=message) as error, opened_models(BUNDLE):
        pass
    assert len(str(error.value).splitlines()) == 1


def test_a_file_that_begins_before_the_archive_is_refused(bundled):
    data = bytearray(BUNDLE.read_bytes())
    end = data.rindex(b"PK\x05\x06")
    # Where the list of files begins. By what is missing there, zipfile moves every file forward.
    (start,) = struct.unpack_from("<I", data, end + 16)
    struct.pack_into("<I", data, end + 16, start + 1000)
    BUNDLE.write_bytes(data)
    with pytest.raises(PipelineError, match="is damaged"), opened_models(BUNDLE):
        pass


def test_archives_that_unpack_to_more_than_they_are_are_refused(bundled):
    with zipfile.ZipFile(BUNDLE) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(BUNDLE, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    with pytest.raises(PipelineError, match="is compressed or encrypted"), opened_models(BUNDLE):
        pass
    rewritten(lambda files: None)
    # The size that the central directory declares of the first file.
    data = bytearray(BUNDLE.read_bytes())
    at = data.index(b"PK\x01\x02") + 24
    data[at : at + 4] = struct.pack("<I", 0xF0000000)
    BUNDLE.write_bytes(data)
    with pytest.raises(PipelineError, match="declares"), opened_models(BUNDLE):
        pass


def test_what_is_no_archive_or_cut_off_is_refused(bundled):
    BUNDLE.write_bytes(BUNDLE.read_bytes()[:-10_000])
    with pytest.raises(PipelineError, match="is no zip archive"), opened_models(BUNDLE):
        pass
    with pytest.raises(PipelineError, match="not found"), opened_models(Path("nothing.zip")):
        pass
