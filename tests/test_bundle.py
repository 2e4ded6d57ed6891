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
    make_models(task={"kind": "video", "pooling": "mean"})
    with pytest.raises(PipelineError, match=r"one answer per video \(task\.kind: video\)"):
        bundle(Path("models"), BUNDLE, Path("reports"))
    assert not BUNDLE.exists()


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
