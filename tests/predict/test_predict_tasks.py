"""predict with int8, with a backbone for each fold, and with one answer per video.

Each is compared with what the evaluate stage makes of the features that the stages wrote.
"""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from videos import numbered_image, write_video

from pipeline import Predictor, paths
from pipeline.backbone import stage as backbone_stage
from pipeline.bundle.pack import bundle
from pipeline.checkpoint import load_checkpoint, save_checkpoint
from pipeline.errors import PipelineError
from pipeline.evaluate.predict import load_model, predict
from pipeline.evaluate.video_answers import answer, mean_answer, members_of
from pipeline.features import stage as features_stage
from pipeline.fold_backbones import joined_folds
from pipeline.frames import stage as frames_stage
from pipeline.model_pair import as_fold_knows
from pipeline.networks.backbones import build_backbone
from pipeline.networks.temporal.ensemble import chosen
from pipeline.predict.command import Request, predict_videos
from pipeline.predict.loaded import read_models
from pipeline.result_store import file_hash
from pipeline.sequences import read_split
from pipeline.tables import write_table
from pipeline.train import stage as train_stage

CPU = torch.device("cpu")
SKILLS = {"a": "1", "b": "2", "c": "1", "d": "2"}
FOLDS = {1: {"a": "train", "b": "train", "c": "test"}, 2: {"b": "train", "c": "train", "a": "test"}}
SINGLE = {None: {"a": "train", "b": "train", "c": "test"}}


def settings(precision="fp32", name="shufflenet_v2_x0_5", **task):
    content = {
        "seed": 1,
        "data": {"root": "op", "layout": "csv"},
        "split": {"scheme": "column"},
        "frames": {"fps": 1, "short_side": 32},
        "backbone": {"name": name, "weights": "random", "mode": "frozen"},
        "features": {"precision": precision, "dtype": "float32", "crop": 32},
        "task": task or {"kind": "frames"},
        "model": {"kind": "rnn", "hidden": 8, "layers": 1, "dropout": 0.0},
        "train": {"epochs": 2, "lr": 0.05, "early_stop": 0, "monitor": "loss"},
        "runtime": {"device": "cpu", "threads": 1, "workers": 1, "progress": "none"},
    }
    Path("params.yaml").write_text(json.dumps(content))


def split(folds):
    rows = [(fold, video, name) for fold, own in folds.items() for video, name in own.items()]
    table = pd.DataFrame(rows, columns=["fold", "video", "split"])
    write_table(table.dropna(axis=1), Path("data/index/splits.csv"))


@pytest.fixture(scope="module")
def _made(tmp_path_factory):
    """Videos of 8 to 11 seconds, their frames and the tables of the index, made once."""
    folder = tmp_path_factory.mktemp("tasks")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("DVC_ROOT", str(folder))
        rows, runs = [], []
        for number, name in enumerate(SKILLS):
            length_s = 8 + number
            path = Path(f"op/{name}.mp4")
            write_video(path, 5 * length_s, fps=5)
            row = (name, path.name, file_hash(path), 160, 64, 5, 5 * length_s, length_s, "")
            rows.append((*row, SKILLS[name]))
            runs += [(name, 0, 4, "first"), (name, 4, length_s, "second")]
        columns = ["video", "path", "sha256", "width", "height", "fps", "frames", "duration_s"]
        columns += ["problem", "skill"]
        write_table(pd.DataFrame(rows, columns=columns), Path("data/index/videos.csv"))
        runs = pd.DataFrame(runs, columns=["video", "start_s", "end_s", "phase"])
        write_table(runs, Path("data/index/labels.csv"))
        write_table(pd.DataFrame({"phase": ["first", "second"]}), Path("data/index/phases.csv"))
        codecs = [(name, "h264") for name in SKILLS]
        write_table(pd.DataFrame(codecs, columns=["video", "codec"]), Path("data/index/codecs.csv"))
        settings()
        split(SINGLE)
        for stage in (frames_stage, backbone_stage, features_stage):
            stage.run()
    return folder


@pytest.fixture(scope="module")
def _made_in_folds(_made, tmp_path_factory):
    """The same with a backbone for each fold, drawn and not trained, which takes longer."""
    folder = tmp_path_factory.mktemp("folds")
    shutil.copytree(_made, folder, dirs_exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("DVC_ROOT", str(folder))
        tensors, header = load_checkpoint(paths.BACKBONE)
        torch.manual_seed(5)
        other = dict(build_backbone(header["name"]).network.eval().state_dict())
        save_checkpoint(paths.BACKBONE, *joined_folds({1: (tensors, header), 2: (other, header)}))
        split(FOLDS)
        features_stage.run()
    return folder


@pytest.fixture
def project(_made, workplace):
    shutil.copytree(_made, workplace, dirs_exist_ok=True)
    return workplace


@pytest.fixture
def in_folds(_made_in_folds, workplace):
    shutil.copytree(_made_in_folds, workplace, dirs_exist_ok=True)
    return workplace


def train(**task):
    settings(**task)
    train_stage.run()


def stored(video, fold=None):
    """A video's features as the stages keep them."""
    found = [
        sequence
        for name in ("train", "test")
        for sequence in read_split(name, paths.features_of(fold), fold=fold)
    ]
    return next(sequence for sequence in found if sequence.video == video)


def test_int8_is_predicted_with_the_scales_of_the_training(project):
    settings(precision="int8", name="resnet18")
    for stage in (backbone_stage, features_stage, train_stage):
        stage.run()
    network, header = load_model(paths.TEMPORAL, CPU)
    expected = predict(network, header, stored("c"), CPU)
    with Predictor(device="cpu", threads=1) as predictor:
        found = predictor.video("op/c.mp4")
        assert predictor.notes == ()
    np.testing.assert_array_equal(found.probabilities, expected.probabilities)
    assert len(np.unique(found.probabilities[:, 0])) > 5  # not a constant one
    # A model of an earlier version is refused, and gets its scales without any training.
    tensors, header = load_checkpoint(paths.TEMPORAL)
    del header["int8"]
    save_checkpoint(paths.TEMPORAL, tensors, header)
    with pytest.raises(PipelineError, match=r"is int8, whose scales.*Run `dvc repro`"):
        Predictor(device="cpu")
    assert features_stage.run().endswith(" 0 computed") and "store" in train_stage.run()
    assert read_models(Path("models")).header["int8"]


def test_folds_with_backbones_of_their_own_answer_together(in_folds):
    train()
    network, header = load_model(paths.TEMPORAL, CPU)
    alone = [
        predict(
            chosen(network, header, fold), as_fold_knows(header, fold), stored("c", fold), CPU
        ).probabilities.astype(np.float64)
        for fold in FOLDS
    ]
    with Predictor(device="cpu", threads=1) as predictor:
        found = predictor.video("op/c.mp4")
        frame = predictor.frame(numbered_image(0), 0.0)
    assert abs(alone[0] - alone[1]).max() > 1e-3
    np.testing.assert_allclose(found.probabilities, np.mean(alone, axis=0), atol=1e-6)
    np.testing.assert_allclose(frame.probabilities, found.probabilities[0], atol=0.02)
    tensors, header = load_checkpoint(paths.BACKBONE)
    del header["folds"]["2"]
    save_checkpoint(paths.BACKBONE, tensors, header)
    with pytest.raises(PipelineError, match="for each of the folds 1, but that of fold 2"):
        read_models(Path("models"))


@pytest.mark.parametrize(("scale", "place"), [("ordinal", "project"), ("number", "in_folds")])
def test_an_answer_is_that_of_the_evaluate_stage(scale, place, request):
    request.getfixturevalue(place)
    train(kind="video", target="skill", scale=scale)
    network, header = load_model(paths.TEMPORAL, CPU)
    classes = tuple(header["classes"])
    expected = mean_answer(
        [
            answer(own, of, stored("c", fold), SKILLS["c"], classes, CPU)
            for fold in (FOLDS if place == "in_folds" else SINGLE)
            for own, of in members_of(network, header, fold)
        ]
    )
    with Predictor(device="cpu", threads=1) as predictor:
        found = predictor.answer("op/c.mp4")
        with pytest.raises(PipelineError, match=r"one answer per video.*call `answer`"):
            predictor.video("op/c.mp4")
        with pytest.raises(PipelineError, match="known when the video ends"):
            predictor.frame(numbered_image(0), 0.0)
    np.testing.assert_array_equal(found.attention, expected.attention)
    np.testing.assert_array_equal(found.time_s, np.arange(10.0))
    if scale == "number":
        assert found.prediction == expected.prediction and not len(found.probabilities)
        request = Request(Path("models"), Path("out"), abstain=0.5, device="cpu")
        with pytest.raises(PipelineError, match="skill, a number, which comes without"):
            predict_videos(["op/c.mp4"], request)
    else:
        np.testing.assert_array_equal(found.probabilities, expected.probabilities)
        assert found.prediction == classes[int(expected.prediction)]


def test_an_answer_becomes_a_table_a_file_and_a_page(project):
    train(kind="video", target="skill", scale="ordinal")
    request = Request(Path("models"), Path("out"), device="cpu", jobs=1)
    assert predict_videos(["op/c.mp4"], request) == "out: 1 videos, 1 predicted"
    assert "1 were there already" in predict_videos(["op/c.mp4"], request)
    assert sorted(p.name for p in Path("out").iterdir()) == ["c.csv", "c.html", "c.json"]
    table, told = pd.read_csv("out/c.csv"), json.loads(Path("out/c.json").read_text())
    assert list(table) == ["time_s", "attention"]
    assert table["attention"].mean() == pytest.approx(1, abs=1e-5)  # the mean sample counts 1
    shares = told["probabilities"]
    assert told["prediction"] == max(shares, key=shares.get) and set(shares) == {"1", "2"}
    assert (told["target"], told["scale"]) == ("skill", "ordinal")
    strongest = float(table["time_s"][table["attention"].idxmax()])
    assert strongest in told["most_attended_s"]
    page = Path("out/c.html").read_text()
    assert 'src="../op/c.mp4"' in page and "http://" not in page and "https://" not in page
    # As uncertain as a coin, it does not say.
    unsure = Request(Path("models"), Path("out"), abstain=1.0, device="cpu", jobs=1)
    predict_videos(["op/c.mp4"], unsure)
    assert json.loads(Path("out/c.json").read_text())["prediction"] is None
    # A bundle answers alike.
    bundle(Path("models"), Path("model.zip"), Path("reports"))
    predict_videos(["op/c.mp4"], replace(request, models=Path("model.zip")))
    assert json.loads(Path("out/c.json").read_text()) == told
