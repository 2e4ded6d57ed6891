"""All folds at once: what is trained, who predicts whom, and what the report says of it."""

import json
import os
from pathlib import Path
from statistics import fmean, stdev

import numpy as np
import pandas as pd
import pytest
import torch
from folds_project import FOLDS, VIDEOS, make_project, settings

from pipeline.checkpoint import load_checkpoint
from pipeline.compare.comparison import compare
from pipeline.compare.reports import read_report
from pipeline.errors import PipelineError
from pipeline.evaluate import stage as evaluate
from pipeline.evaluate.predict import load_model, predict
from pipeline.networks.temporal.ensemble import Ensemble, chosen
from pipeline.postprocess.applied import of_fold
from pipeline.prediction_files import write_prediction
from pipeline.sequences import read_split
from pipeline.tables import read_folds, read_splits, read_test_folds
from pipeline.train import members, stage

TEMPORAL = Path("models/temporal.safetensors")
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """All folds trained and evaluated, then each fold by hand into by_hand/<video>.csv."""
    folder, before = tmp_path_factory.mktemp("folds"), Path.cwd()
    os.chdir(folder)
    os.environ["DVC_ROOT"] = str(folder)
    try:
        make_project()
        for fold in range(1, FOLDS + 1):
            settings(fold)
            stage.run()
            TEMPORAL.rename(f"models/fold_{fold}.safetensors")
            network, header = load_model(Path(f"models/fold_{fold}.safetensors"), CPU)
            for video in read_split("test"):
                scored = predict(network, header, video, CPU)
                path = Path(f"by_hand/{video.video}.csv")
                write_prediction(path, video.time_s, tuple(header["classes"]), scored)
        settings()
        line = stage.run()
        evaluate.run()
    finally:
        os.chdir(before)
        del os.environ["DVC_ROOT"]
    assert line.endswith("from the store"), "a fold was trained twice"
    return folder


@pytest.fixture
def cross_validated(folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setenv("DVC_ROOT", str(folder))
    return folder


@pytest.fixture
def project(workplace):
    make_project()
    return workplace


def test_all_folds_predict_what_each_of_them_predicts_by_hand(cross_validated):
    found = {path.name: path.read_bytes() for path in Path("reports/predictions").iterdir()}
    by_hand = {path.name: path.read_bytes() for path in Path("by_hand").iterdir()}
    assert sorted(found) == [f"{video}.csv" for video in VIDEOS]
    assert found == by_hand


def test_the_file_holds_the_weights_of_each_fold(cross_validated):
    tensors, header = load_checkpoint(TEMPORAL)
    assert [member["fold"] for member in header["members"]] == [1, 2, 3]
    for number, fold in enumerate(read_folds()):
        alone, own = load_checkpoint(Path(f"models/fold_{fold}.safetensors"))
        assert header["members"][number]["best_epoch"] == own["best_epoch"]
        for name, tensor in alone.items():
            assert torch.equal(tensors[f"members.{number}.{name}"], tensor)


def test_metrics_are_over_all_videos_with_the_spread_over_folds(cross_validated):
    metrics, details = (
        json.loads(Path(f"reports/{name}.json").read_text()) for name in ("metrics", "details")
    )
    right, by_fold = [], {}
    for video, fold in read_test_folds().items():
        table = pd.read_csv(f"reports/predictions/{video}.csv")
        right.append((table["truth"] == table["prediction"]).mean())
        by_fold.setdefault(fold, []).append(right[-1])
    assert set(metrics) == {"test", "folds"} and details["test"]["videos"] == len(VIDEOS)
    assert metrics["test"]["frame"]["accuracy"]["mean"] == pytest.approx(fmean(right), abs=1e-6)
    means = [fmean(values) for values in by_fold.values()]
    spread = [metrics["folds"][key]["frame"]["accuracy"]["mean"] for key in ("mean", "std")]
    assert spread == pytest.approx([fmean(means), stdev(means)], abs=1e-6)
    assert [details["folds"][str(fold)]["videos"] for fold in (1, 2, 3)] == [2, 2, 2]
    page = Path("reports/index.html").read_text()
    assert 'id="parts"' in page and "6 videos in 3 folds" in page


def test_the_curves_say_which_training_they_are_of(cross_validated):
    history = pd.read_csv("reports/train/history.csv")
    assert list(history.columns[:3]) == ["fold", "seed", "epoch"]
    assert history["fold"].unique().tolist() == [1, 2, 3]
    assert Path("reports/train/fold_2_seed_3/plots").is_dir()


def test_reports_of_all_folds_can_be_compared(cross_validated):
    report = read_report(".")
    assert compare(report, report).num_videos == len(VIDEOS)


def test_a_model_of_all_folds_scores_no_single_split_and_the_other_way_round(project):
    settings(epochs=1)
    stage.run()
    settings(fold=2, epochs=1)
    with pytest.raises(PipelineError, match=r"holds networks of 3 folds, but .* a single split"):
        evaluate.run()
    stage.run()
    settings(epochs=1)
    with pytest.raises(PipelineError, match=r"holds networks of a single split, but .* 3 folds"):
        evaluate.run()


def test_whoever_needs_a_single_split_is_told_how_to_get_it(project):
    with pytest.raises(PipelineError, match=r"holds folds 1 to 3, where a single split is needed"):
        read_split("train")
    with pytest.raises(PipelineError, match=r"holds folds 1 to 3, where fold 4 is needed"):
        read_splits(fold=4)


def test_labels_of_a_folds_test_videos_move_none_of_its_weights(project):
    settings(epochs=1)
    stage.run()
    before, _ = load_checkpoint(TEMPORAL)
    video = next(name for name, fold in read_test_folds().items() if fold == 2)
    path = Path("data/index/labels.csv")
    path.write_text(path.read_text().replace(f"\n{video},0,", f"\n{video},2,"))
    stage.run()
    after, _ = load_checkpoint(TEMPORAL)
    same = {name: torch.equal(tensor, after[name]) for name, tensor in before.items()}
    assert all(equal for name, equal in same.items() if name.startswith("members.1."))
    assert not all(same.values())


def test_a_killed_run_goes_on_at_the_member_where_it_was(project, monkeypatch):
    settings(epochs=1, seeds=[1, 2])
    original, started = members.train, []

    def killed(*arguments):
        started.append(1)
        if len(started) == 4:
            raise KeyboardInterrupt
        return original(*arguments)

    monkeypatch.setattr(members, "train", killed)
    with pytest.raises(KeyboardInterrupt):
        stage.run()
    assert not TEMPORAL.exists()
    assert "3 from the store" in stage.run()
    assert len(started) == 4 + 3
    found = TEMPORAL.read_bytes()
    for path in Path(".store/train").glob("*.safetensors"):
        path.unlink()
    stage.run()
    assert TEMPORAL.read_bytes() == found


def test_one_seed_in_the_list_is_the_seed_itself_to_the_byte(project):
    settings(fold=1, seed=7, epochs=1)
    stage.run()
    alone = TEMPORAL.read_bytes()
    settings(fold=1, seed=3, seeds=[7], epochs=1)
    assert stage.run().endswith("from the store")
    assert TEMPORAL.read_bytes() == alone
    assert "seed" not in pd.read_csv("reports/train/history.csv")


def test_seeds_are_averaged_and_scored_one_by_one(project):
    settings(fold=1, seeds=[1, 2], epochs=2)
    stage.run()
    evaluate.run()
    network, header = load_model(TEMPORAL, CPU)
    assert isinstance(network, Ensemble)
    metrics, details = (
        json.loads(Path(f"reports/{name}.json").read_text()) for name in ("metrics", "details")
    )
    accuracies, mean = {1: [], 2: []}, []
    for video in read_split("test"):
        each = {
            seed: predict(chosen(network, header, seed=seed), header, video, CPU) for seed in (1, 2)
        }
        for seed, scored in each.items():
            accuracies[seed].append((scored.truth == scored.prediction).mean())
        averaged = np.mean([scored.probabilities for scored in each.values()], axis=0)
        shown = pd.read_csv(f"reports/predictions/{video.video}.csv")[["p_A", "p_B", "p_C"]]
        np.testing.assert_allclose(shown.to_numpy(), averaged, atol=2e-6)
        mean.append((averaged.argmax(axis=1) == video.labels).mean())
    assert metrics["test"]["frame"]["accuracy"]["mean"] == pytest.approx(fmean(mean), abs=1e-6)
    assert "val" in metrics and "folds" not in metrics
    for seed, values in accuracies.items():
        found = details["seeds"][str(seed)]["frame"]["accuracy"]["mean"]
        assert found == pytest.approx(fmean(values), abs=1e-6)
    page = Path("reports/index.html").read_text()
    assert "The same videos predicted by the networks of one seed" in page


def test_each_fold_is_smoothed_and_calibrated_by_its_own_validation_videos(cross_validated):
    def trained(fold):
        settings(fold)
        with Path("params.yaml").open("a") as params:
            params.write("postprocess: {kind: median, seconds: null, temperature: true}\n")
        stage.run()
        return load_checkpoint(TEMPORAL)[1]

    by_hand = [trained(fold) for fold in range(1, FOLDS + 1)]
    together = trained(None)

    for fold, own in enumerate(by_hand, start=1):
        fit = together["fits"][str(fold)]
        assert fit["postprocess"] == own["postprocess"]
        assert fit["temperature"] == pytest.approx(own["temperature"], rel=1e-4)
    temperatures = [own["temperature"] for own in by_hand]
    assert min(temperatures) < together["temperature"] < max(temperatures)
    evaluate.run()
    predicted = pd.read_csv("reports/predictions/a.csv")
    fold = read_test_folds()["a"]
    network, header = load_model(TEMPORAL, CPU)
    video = next(v for v in read_split("test", fold=fold) if v.video == "a")
    own = predict(chosen(network, header, fold), of_fold(header, fold), video, CPU)
    assert predicted["prediction"].tolist() == [header["classes"][n] for n in own.prediction]
    page = Path("reports/index.html").read_text()
    used = ", ".join(f"{together['fits'][str(f)]['temperature']:.3f}" for f in range(1, FOLDS + 1))
    assert f"logits divided by {used}, fitted on the validation videos of each fold" in page
    settings()
    stage.run()
    evaluate.run()
