"""predict with models of single images, compared with what the evaluate stage made of them."""

import dataclasses
import shutil
import sys
import zipfile
from pathlib import Path

import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
from images_project import settings, write_folder

from pipeline import Predictor
from pipeline.backbone import stage as backbone
from pipeline.bundle.pack import bundle
from pipeline.errors import PipelineError
from pipeline.evaluate import stage as evaluate
from pipeline.export.command import export_models
from pipeline.features import stage as features
from pipeline.frames import stage as frames
from pipeline.index import stage as index
from pipeline.predict.command import Request, predict_videos
from pipeline.runtime import RuntimeParams
from pipeline.train import stage as train

REQUEST = Request(Path("models"), Path("out"), device="cpu")


@pytest.fixture(scope="module")
def _made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("DVC_ROOT", str(folder))
        write_folder(folder / "images")
        settings(features__dtype="float32")
        for stage in (index, frames, backbone, features, train, evaluate):
            stage.run()
    return folder


@pytest.fixture
def project(_made, workplace):
    shutil.copytree(_made, workplace, dirs_exist_ok=True)
    return workplace


def test_images_are_predicted_as_by_the_evaluate_stage(project):
    expected = pd.read_csv("reports/predictions/images.csv")
    Path("params.yaml").unlink()
    assert predict_videos(["images/Testing"], REQUEST) == "out/images.csv: 15 images"
    found = pd.read_csv("out/images.csv")
    assert ("Testing/" + found["img_id"]).tolist() == expected["img_id"].tolist()
    pd.testing.assert_frame_equal(
        found.drop(columns="img_id"),
        expected.drop(columns=["img_id", "true_label"]),
        atol=2e-6,
        rtol=0,
    )
    assert found["p_glioma"].nunique() > 10  # not a constant one


def test_a_bundle_of_images_predicts_alike_and_its_card_tells_of_images(project):
    bundle(Path("models"), Path("model.zip"), Path("reports"))
    with zipfile.ZipFile("model.zip") as archive:
        card = archive.read("README.md").decode()
    assert "The class of single images: 3 classes." in card
    assert "| Balanced accuracy |" in card and "Intervals are over images" in card
    predict_videos(["images/Testing"], REQUEST)
    of_bundle = dataclasses.replace(REQUEST, models=Path("model.zip"), out=Path("b"))
    predict_videos(["images/Testing"], of_bundle)
    assert Path("b/images.csv").read_bytes() == Path("out/images.csv").read_bytes()


def test_damaged_images_are_named_and_the_others_done(project):
    Path("images/Testing/glioma/empty.png").write_bytes(b"")
    with pytest.raises(PipelineError, match=r"1 of 16 images failed(.|\n)*empty.png: cannot be"):
        predict_videos(["images/Testing"], REQUEST)
    assert len(pd.read_csv("out/images.csv")) == 15
    with pytest.raises(PipelineError, match="1 of 1 images failed"):
        predict_videos(["images/Testing/glioma/empty.png"], REQUEST)
    assert list(pd.read_csv("out/images.csv"))[:2] == ["img_id", "predicted_label"]


def test_where_no_class_is_probable_enough_the_label_is_empty(project):
    predict_videos(["images/Testing/*/*"], dataclasses.replace(REQUEST, abstain=1.0))
    table = pd.read_csv("out/images.csv", keep_default_na=False)
    assert set(table["predicted_label"]) == {""} and len(table) == 15


def test_what_is_not_for_images_is_refused(project):
    Path("empty").mkdir()
    with pytest.raises(PipelineError, match="empty: a folder without images"):
        predict_videos(["empty"], REQUEST)
    with pytest.raises(PipelineError, match="would both be called"):
        predict_videos(["images/Testing", "images/Testing/../Testing"], REQUEST)
    away = dataclasses.replace(REQUEST, runtime=RuntimeParams(executor="slurm"))
    with pytest.raises(PipelineError, match="found slurm, but models of single images"):
        predict_videos(["images/Testing"], away)
    with pytest.raises(PipelineError, match="single images"):
        export_models(Path("models"), "onnx", None, "fp32")
    with Predictor(device="cpu") as predictor:
        assert predictor.of_images and not predictor.of_videos
        with pytest.raises(PipelineError, match=r"single images.*: call `images`"):
            predictor.video("a.mp4")
