"""Single images from the index to the report, through the stages of videos."""

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import yaml
from images_project import CLASSES, image_of, settings, write_folder
from PIL import Image
from sklearn.metrics import balanced_accuracy_score, f1_score, roc_auc_score

from pipeline.all_params import check_params
from pipeline.backbone import stage as backbone
from pipeline.compare.reports import read_report
from pipeline.errors import PipelineError
from pipeline.evaluate import stage as evaluate
from pipeline.features import stage as features
from pipeline.frame_store import FrameFile
from pipeline.frames import stage as frames
from pipeline.frames.image_file import read_image
from pipeline.image_tables import read_images
from pipeline.index import images as packing
from pipeline.index import stage as index
from pipeline.metrics.image_level import summarise_images
from pipeline.report.paper_pictures import write_paper_pictures
from pipeline.report.summary import describe, read_details
from pipeline.sequences import read_split
from pipeline.tables import read_labels, read_phases, read_skipped, read_splits, read_videos
from pipeline.train import stage as train


@pytest.fixture
def images(workplace):
    write_folder(workplace / "images")
    settings()
    return workplace / "images"


def prepare():
    """The stages up to the features; what the last one says."""
    index.run()
    frames.run()
    backbone.run()
    return features.run()


def contents():
    return {
        path: path.read_bytes()
        for folder in ("data/index", "data/frames", "features", "reports")
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file()
    }


def test_a_set_of_images_goes_from_the_index_to_the_report(images):
    for number, name in enumerate(CLASSES):  # a test image that looks like another class
        path = images / f"Testing/{name}/wrong.png"
        cv2.imwrite(str(path), image_of((number + 1) % 3, 99 + number))
    (images / "Testing/glioma/empty.png").write_bytes(b"")
    settings(frames__on_error="skip")
    check_params()
    prepare()
    train.run()
    assert "Balanced accuracy" in evaluate.run()

    table = pd.read_csv("reports/predictions/images.csv")
    assert list(table.columns[:3]) == ["img_id", "true_label", "predicted_label"]
    assert len(table) == 18 and "Testing/glioma/empty.png" not in set(table["img_id"])
    assert all(row.img_id.startswith(f"Testing/{row.true_label}/") for row in table.itertuples())
    right = (table["true_label"] == table["predicted_label"]).mean()
    assert 0.75 < right < 0.85
    metrics = json.loads(Path("reports/metrics.json").read_text())
    assert metrics["test"]["frame"]["accuracy"]["pooled"] == pytest.approx(right, abs=1e-6)
    assert describe(read_details()).startswith("Accuracy")
    for command in (lambda: write_paper_pictures(read_details()), lambda: read_report(".")):
        with pytest.raises(PipelineError, match="holds single images"):
            command()

    page = Path("reports/index.html").read_text()
    assert "18 test images" in page and "36 train, 12 val, 19 test images" in page
    assert "1 damaged image was left out" in page
    assert "ribbon" not in page.partition("</style>")[2] and "Transitions" not in page
    worst = page[page.index('id="worst"') : page.index('id="training"')]
    assert worst.count("data:image/jpeg") >= 3
    shares = [float(part.split(" %")[0]) for part in worst.split("confidence ")[1:]]
    assert shares == sorted(shares, reverse=True)
    assert all(f"Testing/{name}/wrong.png" in worst for name in CLASSES)

    first = contents()
    for path in images.rglob("*.png"):
        os.utime(path)
    prepare()
    evaluate.run()
    assert contents() == first


def test_images_keep_their_class_through_packing(images, monkeypatch):
    monkeypatch.setattr(packing, "_IMAGES", 6)
    prepare()
    assert read_phases() == CLASSES
    table = read_images()
    assert sorted(set(table["video"]))[0] == "test_000" and table["video"].nunique() > 6
    ids = table.set_index(["video", "sample"])["image"]
    assert len(set(ids)) == 63
    for split in ("train", "val", "test"):
        for sequence in read_split(split):
            assert sequence.video.startswith(split)
            for sample, label in enumerate(sequence.labels):
                assert CLASSES[label] == ids[sequence.video, sample].split("/")[1]
    videos = read_videos()
    assert videos["fps"].tolist() == [1] * len(videos)
    assert read_labels()["end_s"].max() == videos["frames"].max()


def test_each_sample_is_its_image(images):
    prepare()
    row = read_images().iloc[7]
    with FrameFile(Path(f"data/frames/{row.video}.h5")) as file:
        kept = file.image(row["sample"]).astype(int)
    whole = cv2.cvtColor(cv2.imread(f"images/{row.path}"), cv2.COLOR_BGR2RGB)
    wanted = cv2.resize(whole, (38, 32), interpolation=cv2.INTER_AREA).astype(int)
    assert np.abs(kept - wanted).mean() < 12  # the noise does not survive JPEG whole


def test_one_more_image_computes_one_container(images, monkeypatch):
    monkeypatch.setattr(packing, "_IMAGES", 20)
    prepare()
    cv2.imwrite(str(images / "Training/glioma/more.png"), image_of(0, 500))
    index.run()
    assert "1 made" in frames.run()
    assert "1 computed" in features.run()
    assert "0 computed" in prepare()


def test_classes_alone_are_split_by_the_seed(workplace):
    write_folder(workplace / "images", (("", 10),))
    settings()
    with pytest.raises(PipelineError, match="no folders train, val and test"):
        index.run()
    settings(split__scheme="random")
    assert "30 images: 18 train, 3 val, 9 test" in index.run()
    assert set(read_splits()["split"]) == {"train", "val", "test"}


def write_study(root):
    (root / "images").mkdir(parents=True)
    rows = {"train": [], "val": [], "test": []}
    for number in range(60):
        split = ("train", "train", "train", "val", "test")[number % 5]
        image = f"{number // 10}_{number % 3}_{number}"
        cv2.imwrite(str(root / f"images/{image}.png"), image_of(number % 3, number))
        rows[split].append(f"{image},{number % 3 + 9}")
    for split, lines in rows.items():
        (root / f"{split}.csv").write_text("\n".join(["id,label", *lines]) + "\n")


def test_a_study_of_frames_is_read_by_its_tables(workplace):
    write_study(workplace / "images")
    settings("frame_study")
    prepare()
    assert read_phases() == ("9", "10", "11")  # by number, not by text
    truth = pd.read_csv("images/test.csv").set_index("id")["label"]
    ids = read_images().set_index(["video", "sample"])["image"]
    (sequence,) = read_split("test")
    found = {ids["test_000", n]: int(read_phases()[c]) for n, c in enumerate(sequence.labels)}
    assert found == truth.to_dict()


def test_a_damaged_image_that_is_called_like_a_container_takes_no_other_with_it(workplace):
    write_study(workplace / "images")
    table = Path("images/train.csv")
    table.write_text(table.read_text() + "train_000,9\n")
    Path("images/images/train_000.png").write_bytes(b"")
    settings("frame_study", frames__on_error="skip")
    prepare()
    assert [len(sequence) for sequence in read_split("train")] == [36]


def test_wrong_tables_name_file_and_line(workplace):
    write_study(workplace / "images")
    settings("frame_study")
    test = Path("images/test.csv")
    text = test.read_text()
    first = pd.read_csv("images/train.csv")["id"][0]
    test.write_text(text + f"{first},9\n9_9_999,9\n1_2\n")
    with pytest.raises(PipelineError) as caught:
        index.run()
    for message in (
        f"test.csv:14: {first} is in train.csv already",
        "test.csv:15: no image 9_9_999 below images",
        "test.csv:16: found '1_2', expected id and label",
    ):
        assert message in str(caught.value)
    test.write_text(text.partition("\n")[2])
    with pytest.raises(PipelineError, match=r"test\.csv:1: header .*, expected 'id,label'"):
        index.run()
    test.unlink()
    with pytest.raises(PipelineError, match="no image in test"):
        index.run()
    Path("images/train.csv").unlink()
    with pytest.raises(PipelineError, match=r"train\.csv: missing"):
        index.run()


def test_empty_folders_strange_folders_and_copies_are_named(images):
    copied = next((images / "Training/glioma").iterdir())
    (images / "Testing/glioma" / f"copy{copied.suffix}").write_bytes(copied.read_bytes())
    assert "1 image is byte for byte in two splits" in index.run()
    (images / "Training/meningioma").mkdir()
    with pytest.raises(PipelineError, match=r"Training/meningioma: holds no image"):
        index.run()
    (images / "other").mkdir()
    with pytest.raises(PipelineError, match=r"folders of splits .* and others \(other\)"):
        index.run()


def test_damaged_images_stop_or_are_left_out_by_name(images):
    broken = next(path for path in (images / "Testing/glioma").iterdir() if path.suffix == ".jpg")
    content = broken.read_bytes()
    broken.write_bytes(content[: len(content) // 2])
    (images / "Training/glioma/empty.png").write_bytes(b"")
    index.run()
    with pytest.raises(PipelineError, match=rf"2 of 64 images(.|\n)*{broken.name}: cannot"):
        frames.run()
    settings(frames__on_error="skip")
    assert "2 damaged images skipped" in frames.run()
    assert set(read_skipped(Path("data/frames"))["video"]) == {
        broken.relative_to(images).as_posix(),
        "Training/glioma/empty.png",
    }
    backbone.run()
    features.run()
    (sequence,) = read_split("test")
    ids = read_images().set_index(["video", "sample"])["image"]
    seen = {ids["test_000", int(time_s)] for time_s in sequence.time_s}
    assert len(seen) == 14 and broken.relative_to(images).as_posix() not in seen
    settings()
    with pytest.raises(PipelineError, match="2 of 64 images"):
        frames.run()


def test_images_of_all_kinds_are_upright_in_eight_bits(workplace):
    grey = (np.arange(40 * 30).reshape(40, 30) % 256).astype(np.uint8)
    colour = np.repeat(grey[:, :, None], 3, axis=2)
    Image.fromarray(grey).save("grey.png")
    Image.fromarray(grey.astype(np.uint16) * 256 + 17).save("deep.png")
    Image.fromarray(np.dstack([colour, 255 - grey])).save("clear.png")
    Image.fromarray(colour).convert("P").save("palette.png")
    turned = Image.fromarray(colour)
    exif = turned.getexif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    turned.save("turned.png", exif=exif)
    for name in ("grey", "deep", "clear"):
        np.testing.assert_array_equal(read_image(Path(f"{name}.png")), colour)
    assert read_image(Path("palette.png")).shape == (40, 30, 3)
    np.testing.assert_array_equal(read_image(Path("turned.png")), np.rot90(colour, -1))
    Image.fromarray(grey.astype(np.float32)).save("fractions.tif")
    Path("text.png").write_text("no image")
    for name in ("fractions.tif", "text.png"):
        with pytest.raises(PipelineError):
            read_image(Path(name))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model__kind": "tecno"}, r"found tecno, .* images have none.* Allowed: linear, mlp"),
        ({"model__kind": "rnn"}, r"found rnn"),
        ({"task__kind": "frames"}, r"task\.kind is frames, but .*image_folder has single images"),
        ({"data__layout": "csv"}, r"task\.kind is images, but .*csv has videos"),
        ({"backbone__clip": {"frames": 4, "stride_s": 1}}, r"backbone\.clip is given"),
        ({"postprocess__kind": "median"}, r"postprocess\.kind is median, which smooths over time"),
        (
            {"backbone__mode": "finetune", "backbone__finetune": {"context": {"frames": 8}}},
            r"backbone\.finetune\.context is given",
        ),
    ],
)
def test_what_needs_time_is_refused_for_images(images, changes, message):
    settings(**changes)
    with pytest.raises(PipelineError, match=message):
        check_params()


def test_the_doctor_counts_images(images):
    assert index.survey() == (0, 63, [])


def test_the_backbone_fine_tunes_on_images(images):
    tuning = yaml.safe_load(Path("params.yaml").read_text())["backbone"]["finetune"]
    settings(
        backbone__name="resnet18",
        backbone__mode="finetune",
        backbone__crop=32,
        backbone__finetune=tuning | {"epochs": 1, "strategy": "head"},
    )
    index.run()
    frames.run()
    assert "fine-tuned on 36 frames" in backbone.run()
    assert "computed" in features.run()


def test_metrics_of_images_are_those_of_scikit_learn():
    random = np.random.default_rng(0)
    truth = random.integers(0, 3, 200)
    probabilities = random.dirichlet(np.ones(3), 200) + 0.3 * np.eye(3)[truth]
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    found = summarise_images(truth, probabilities, CLASSES, 200)
    prediction = probabilities.argmax(axis=1)
    frame = found["frame"]
    assert frame["accuracy"]["pooled"] == pytest.approx((truth == prediction).mean(), abs=1e-6)
    balanced = balanced_accuracy_score(truth, prediction)
    assert frame["recall"]["pooled"] == pytest.approx(balanced, abs=1e-6)
    macro = f1_score(truth, prediction, average="macro")
    assert frame["f1"]["pooled"] == pytest.approx(macro, abs=1e-6)
    area = roc_auc_score(truth, probabilities, multi_class="ovr")
    assert found["calibration"]["roc_auc"]["macro"] == pytest.approx(area, abs=1e-6)
    spread = np.sqrt(frame["accuracy"]["pooled"] * (1 - frame["accuracy"]["pooled"]) / 200)
    width = frame["accuracy"]["pooled_ci_high"] - frame["accuracy"]["pooled_ci_low"]
    assert width == pytest.approx(2 * 1.96 * spread, rel=0.25)
