"""All folds at once with a backbone each: what every fold alone gives, and nothing leaks."""

import json
import shutil
from contextlib import nullcontext
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import tiny
import torch
import yaml
from frames_project import FRAMES, PHASES
from frames_project import make_project as make_frames

from pipeline import paths
from pipeline.backbone import adapting, report
from pipeline.backbone import stage as backbone
from pipeline.checkpoint import load_checkpoint, save_checkpoint, tensors_hash
from pipeline.errors import PipelineError
from pipeline.evaluate import stage as evaluate
from pipeline.evaluate.facts import training_of, untrained
from pipeline.evaluate.predict import load_model, predict
from pipeline.feature_store import read_features
from pipeline.features import stage as features
from pipeline.fold_backbones import backbone_of_fold
from pipeline.index.backbone_tables import write_backbone_tables
from pipeline.model_pair import read_pair
from pipeline.networks.backbones import FAMILIES
from pipeline.prediction_files import write_prediction
from pipeline.saliency.models import read_models
from pipeline.saliency.moment import read_moment
from pipeline.sequences import read_split
from pipeline.tables import read_test_folds, write_table
from pipeline.train import stage as train

CPU = torch.device("cpu")
FOLDS = {
    1: {"a": "train", "b": "val", "c": "test", "d": "test"},
    2: {"c": "train", "d": "val", "a": "test", "b": "test"},
}


def choose(fold=None, **values):
    """params.yaml and splits.csv for all folds, or for one of them as an ordinary split."""
    params = yaml.safe_load(Path("params.yaml").read_text())
    params |= {
        "data": {"root": "x", "layout": "csv"},
        "split": {"scheme": "kfold", "folds": 2, "fold": fold},
        "features": {"precision": "fp32", "crop": 32},
        "model": {"kind": "rnn", "hidden": 4, "layers": 1, "dropout": 0.0},
        "train": {"epochs": 2, "early_stop": 2},
        "evaluate": {"bootstrap": 0},
    }
    params["backbone"] |= values
    params["runtime"]["workers"] = 0
    Path("params.yaml").write_text(yaml.safe_dump(params))
    rows = [(k, video, split) for k, own in FOLDS.items() for video, split in own.items()]
    table = pd.DataFrame(rows, columns=["fold", "video", "split"])
    if fold is not None:
        table = table[table["fold"] == fold].drop(columns="fold")
    write_table(table, Path("data/index/splits.csv"))


def make_project():
    make_frames({"epochs": 1})
    write_table(
        pd.DataFrame(
            [(v, f"{v}.mp4", v * 8, 60, 40, 1, FRAMES, FRAMES, "") for v in "abcd"],
            columns=[
                *("video", "path", "sha256", "width", "height"),
                *("fps", "frames", "duration_s", "problem"),
            ],
        ),
        Path("data/index/videos.csv"),
    )
    Path("data/index/images.csv").write_text("image,video,sample\n")
    recipe = {"fps": "1", "short_side": 40, "crop_borders": False, "quality": 95}
    recipe |= {"decoder": "pyav", "on_error": "stop"}
    Path("data/frames/recipe.json").write_text(json.dumps(recipe))
    Path("data/frames/masked.csv").write_text("video,lost,samples\n")


def draw_nothing(patch):
    """Pictures take longer than all the rest."""
    for name in ("training_picture", "confusion_picture"):
        patch.setattr(report, name, lambda *_: None)
    patch.setattr(evaluate, "drawn_beside", lambda: nullcontext(lambda picture, *a: picture(*a)))
    patch.setattr(evaluate, "write_plots", blank_pictures)
    patch.setattr(evaluate, "write_training_picture", lambda *_: None)


def blank_pictures(plots, *_):
    plots.mkdir(parents=True)
    for name in ("training", "reliability_test", "roc_test"):
        cv2.imwrite(str(plots / f"{name}.png"), np.zeros((1, 1)))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Each fold by hand, kept in by_hand/<fold>, then all of them; what the stages said."""
    folder = tmp_path_factory.mktemp("folds")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("DVC_ROOT", str(folder))
        patch.setitem(FAMILIES, "tiny", tiny)
        draw_nothing(patch)
        make_project()
        for fold in FOLDS:
            choose(fold)
            for stage in (backbone, features, train):
                stage.run()
            network, header = load_model(paths.TEMPORAL, CPU)
            for video in read_split("test"):
                scored = predict(network, header, video, CPU)
                path = paths.PREDICTIONS / f"{video.video}.csv"
                write_prediction(path, video.time_s, PHASES, scored)
            for output in ("models", "features", "reports"):
                shutil.move(output, f"by_hand/{fold}/{output}")
        trained = sorted(Path(".store/backbone").glob("*.safetensors"))
        choose()
        lines = [stage.run() for stage in (backbone, features, train, evaluate)]
        assert sorted(Path(".store/backbone").glob("*.safetensors")) == trained
    return folder, lines


@pytest.fixture
def folder(made, monkeypatch):
    monkeypatch.chdir(made[0])
    monkeypatch.setenv("DVC_ROOT", str(made[0]))
    return made[0]


def files(folder):
    found = (path for path in Path(folder).rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def test_nothing_that_a_fold_made_alone_is_made_again(made):
    of_backbone, of_features, of_train, _ = made[1]
    assert "fold 1, fine-tuned on 18 frames" in of_backbone
    assert of_features.endswith("4 videos in each of 2 folds, 0 computed")
    assert of_train.endswith("from the store")


@pytest.mark.parametrize("fold", FOLDS)
def test_all_folds_at_once_give_the_bytes_of_each_alone(folder, fold, tmp_path):
    by_hand = Path(f"by_hand/{fold}")
    own = tmp_path / "own.safetensors"
    save_checkpoint(own, *backbone_of_fold(*load_checkpoint(paths.BACKBONE), fold))
    assert own.read_bytes() == (by_hand / paths.BACKBONE).read_bytes()
    assert files(f"features/videos/fold_{fold}") == files(by_hand / "features/videos")
    assert files(f"reports/backbone/fold_{fold}") == files(by_hand / "reports/backbone")
    alone, described = load_checkpoint(by_hand / paths.TEMPORAL)
    tensors, header = load_checkpoint(paths.TEMPORAL)
    for name, tensor in alone.items():
        assert torch.equal(tensors[f"members.{fold - 1}.{name}"], tensor)
    assert header["members"][fold - 1]["weights_hash"] == described["weights_hash"]
    assert header["members"][fold - 1]["backbone"] == described["backbone"]
    for name, content in files(by_hand / "reports/predictions").items():
        assert Path("reports/predictions", name).read_bytes() == content


def test_the_models_say_which_backbone_is_whose(folder):
    tensors, described = load_checkpoint(paths.BACKBONE)
    _, header = load_checkpoint(paths.TEMPORAL)
    hashes = [tensors_hash(backbone_of_fold(tensors, described, fold)[0]) for fold in FOLDS]
    assert hashes[0] != hashes[1]
    assert [member["weights_hash"] for member in header["members"]] == hashes
    assert not {"weights_hash", "backbone", "seen"} & header.keys()
    assert described["name"] == "tiny_cnn" and not untrained(described)
    assert training_of(described).count("fine-tuned on 18 frames of 1 training videos") == 2


def test_a_moment_is_explained_by_the_backbone_of_its_fold(folder, tiny_family):
    for video, fold in read_test_folds().items():
        stored = read_features(paths.features_of(fold) / f"{video}.h5").features[7]
        models = read_models(fold=fold)
        moment = read_moment(models, video, 7, features=paths.features_of(fold))
        again = models.backbones[0].network(moment.images[0])[0]
        assert torch.allclose(again, torch.from_numpy(stored).float(), rtol=1e-2, atol=1e-2)
        table = pd.read_csv(f"reports/predictions/{video}.csv")
        expected = table.loc[7, [f"p_{name}" for name in PHASES]].to_numpy(float)
        assert moment.probabilities == pytest.approx(expected, abs=1e-2)
    page = Path("reports/index.html").read_text()
    assert "Grad-CAM of" in page and "a backbone for each fold: fold 1" in page


def test_a_new_video_has_no_backbone_among_those_of_folds(folder):
    with pytest.raises(PipelineError, match=r"one for all videos is needed.*split\.fold"):
        read_pair(paths.BACKBONE, paths.TEMPORAL)
    with pytest.raises(PipelineError, match=r"folds 1, 2, but that of fold 3"):
        read_pair(paths.BACKBONE, paths.TEMPORAL, fold=3)


def test_labels_of_a_folds_test_videos_change_nothing_of_its_backbone(workplace, monkeypatch):
    draw_nothing(monkeypatch)
    make_project()
    choose()
    write_backbone_tables(paths.INDEX)
    table = pd.read_csv("data/index/backbone_finetune.csv")
    assert table.columns[0] == "fold"
    backbone.run()
    before = load_checkpoint(paths.BACKBONE)

    labels = pd.read_csv("data/index/labels.csv")
    labels.loc[labels["video"].isin(["c", "d"]), "phase"] = "B"
    write_table(labels, Path("data/index/labels.csv"))
    write_backbone_tables(paths.INDEX)
    changed = pd.read_csv("data/index/backbone_finetune.csv")
    pd.testing.assert_frame_equal(table[table["fold"] == 1], changed[changed["fold"] == 1])
    assert not table[table["fold"] == 2].equals(changed[changed["fold"] == 2])
    backbone.run()
    after = load_checkpoint(paths.BACKBONE)
    hashes = [
        [tensors_hash(backbone_of_fold(*content, fold)[0]) for fold in FOLDS]
        for content in (before, after)
    ]
    assert hashes[0][0] == hashes[1][0] and hashes[0][1] != hashes[1][1]


def test_the_index_lists_for_each_fold_what_it_would_list_for_that_fold_alone(workplace):
    make_project()
    choose()
    write_backbone_tables(paths.INDEX)
    tables = {
        mode: pd.read_csv(f"data/index/backbone_{mode}.csv", keep_default_na=False, dtype=str)
        for mode in ("adabn", "finetune", "finetune_adabn")
    }
    assert Path("data/index/backbone_frozen.csv").read_text() == "video\n"
    for fold in FOLDS:
        choose(fold)
        write_backbone_tables(paths.INDEX)
        for mode, table in tables.items():
            path = f"data/index/backbone_{mode}.csv"
            alone = pd.read_csv(path, keep_default_na=False, dtype=str)
            own = table[table["fold"] == str(fold)].drop(columns="fold").reset_index(drop=True)
            pd.testing.assert_frame_equal(own, alone)


def test_each_fold_adapts_to_its_own_test_videos(workplace):
    make_project()
    choose(mode="adabn", adabn={"split": "test"})
    backbone.run()
    _, header = load_checkpoint(paths.BACKBONE)
    tests = {fold: header["folds"][str(fold)]["adabn"]["videos"] for fold in FOLDS}
    assert tests == {1: ["c", "d"], 2: ["a", "b"]}


def test_a_killed_run_goes_on_at_the_fold_where_it_was(workplace, monkeypatch):
    make_project()
    choose(mode="adabn", adabn={"split": "test"})
    begun, adapt = [], adapting.adapt

    def killed_at_the_second(*arguments):
        begun.append(arguments)
        if len(begun) == 2:
            raise KeyboardInterrupt
        return adapt(*arguments)

    monkeypatch.setattr(adapting, "adapt", killed_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        backbone.run()
    assert not paths.BACKBONE.exists()
    backbone.run()
    assert len(begun) == 3, "fold 1 was adapted again"


def test_a_frozen_backbone_and_its_features_stay_shared(workplace):
    make_project()
    choose(mode="frozen")
    backbone.run()
    _, header = load_checkpoint(paths.BACKBONE)
    # What an earlier run left must not be taken for this one's.
    Path("features/videos/fold_2").mkdir(parents=True)
    features.run()
    assert "folds" not in header and paths.features_of(2) == paths.FEATURES
    assert {path.name for path in paths.FEATURES.glob("*.h5")} == {f"{v}.h5" for v in "abcd"}
