"""One answer per video through the stages train and evaluate, on real skill labels."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from video_project import change_column, experience, make_project, settings

from pipeline.all_params import check_candidate, check_params
from pipeline.checkpoint import read_header
from pipeline.compare.reports import read_report
from pipeline.errors import PipelineError
from pipeline.evaluate import stage as evaluate
from pipeline.evaluate.predict import load_model
from pipeline.evaluate.video_answers import Answer, told_by_length
from pipeline.evaluate.video_stage import _unseen
from pipeline.report.paper_pictures import write_paper_pictures
from pipeline.report.summary import describe
from pipeline.score.video_labels import score_videos
from pipeline.sequences import read_split
from pipeline.tables import write_table
from pipeline.train import stage

MODEL, ANSWERS = Path("models/temporal.safetensors"), Path("reports/predictions/videos.csv")


@pytest.fixture
def labels(shared_data, workplace):
    return shared_data / "labels/cataract101"


def test_a_planted_skill_is_found_and_reported(labels):
    make_project(labels, planted=experience(labels))
    change_column("experience", lambda video, split, old: "" if video == "269" else old)
    assert "rnn, epoch" in stage.run()
    network, header = load_model(MODEL, torch.device("cpu"))
    assert header["classes"] == ["1", "2"]
    assert header["task"]["target"] == "experience" and header["task"]["pooling"] == "attention"
    for video in read_split("test"):  # attention lies where the skill was planted
        features = torch.from_numpy(video.features).float()[None]
        weights = network.attention(features, torch.ones(1, len(video), dtype=torch.bool))[0]
        burst = features[0, :, 0] > 1.5
        assert weights[burst].sum() > burst.float().mean()
    assert "Accuracy" in evaluate.run()
    test = json.loads(Path("reports/details.json").read_text())["test"]
    assert test["accuracy"]["value"] > 0.85 and test["roc_auc"]["value"] > 0.9
    assert set(test["surgeons"]["each"]) <= {"1", "2", "3", "4"}
    kept = json.loads(Path("reports/metrics.json").read_text())
    assert set(kept["test"]) == {"accuracy", "balanced_accuracy", "f1", "roc_auc"}
    table = pd.read_csv(ANSWERS, dtype={"video": str, "truth": str, "prediction": str})
    assert list(table) == ["video", "truth", "prediction", "p_1", "p_2"] and len(table) >= 15
    # The command `score` makes the same of this file.
    assert score_videos(ANSWERS, ANSWERS)["accuracy"]["value"] == test["accuracy"]["value"]
    assert "Balanced accuracy" in describe({"test": test})
    for command in (lambda: write_paper_pictures({"test": test}), lambda: read_report(".")):
        with pytest.raises(PipelineError, match="one answer per video"):
            command()
    page = Path("reports/index.html").read_text()
    assert page.count('<figure class="ribbon"') == len(table)
    assert "Phacoemulsif" in page and "/secret/place" not in page
    order = re.findall(r'data-video="(\d+)"', page)
    p_truth = table["p_1"].where(table["truth"] == "1", table["p_2"])
    assert order[0] == table["video"][p_truth.argmin()]


def test_what_the_videos_do_not_show_is_not_found(labels):
    shown = experience(labels)
    for skill in (-1, 1):  # dealt out anew among the videos of each skill
        shown[shown == skill] = np.resize([-1.5, 1.5], (shown == skill).sum())
    make_project(labels, planted=np.sign(shown))
    stage.run()
    evaluate.run()
    accuracy = json.loads(Path("reports/details.json").read_text())["test"]["balanced_accuracy"]
    assert accuracy["ci_low"] <= 0.5 and accuracy["value"] < 0.75


def test_a_score_is_predicted_in_its_own_unit(labels):
    planted = experience(labels)
    scores = [f"{20 + 3 * p + 0.25 * (n % 4):.2f}" for n, p in enumerate(planted)]
    make_project(labels, {"score": scores}, planted)
    settings("score", "number", "mean", "tecno", epochs=12)
    assert "val loss" in stage.run()
    history = pd.read_csv("reports/train/history.csv")
    assert history["val_macro_f1"].isna().all() and history["val_loss"].notna().all()
    header = read_header(MODEL)
    assert header["classes"] == [] and "loss" not in header["train"]
    assert "Spearman" in evaluate.run()
    test = json.loads(Path("reports/details.json").read_text())["test"]
    assert test["spearman"]["value"] > 0.5 and test["mae"]["value"] < 2.5
    table = pd.read_csv(ANSWERS)
    assert list(table) == ["video", "truth", "prediction"]
    error = (table["truth"] - table["prediction"]).abs().mean()
    assert test["mae"]["value"] == pytest.approx(error, abs=1e-5)


def test_labels_of_test_videos_change_no_weight(labels):
    make_project(labels, planted=experience(labels))
    settings(epochs=1)
    stage.run()
    before = MODEL.read_bytes()
    change_column("experience", lambda video, split, old: "3" if split == "test" else old)
    assert "from the store" in stage.run()
    assert MODEL.read_bytes() == before
    change_column("experience", lambda video, split, old: "1" if split == "val" else old)
    assert "from the store" not in stage.run()
    # A class that training never saw counts as an error and is said to be one.
    evaluate.run()
    assert "Training never saw experience 3" in Path("reports/index.html").read_text()
    assert json.loads(Path("reports/details.json").read_text())["test"]["accuracy"]["value"] == 0


def test_a_section_that_asks_for_phases_leaves_their_models_what_they_were(labels):
    make_project(labels)
    text = Path("params.yaml").read_text().replace("epochs: 12", "epochs: 1")
    before, after = (re.sub("task: .*\n", new, text) for new in ("", "task: {kind: frames}\n"))
    Path("params.yaml").write_text(before)
    assert "from the store" not in stage.run()
    model = MODEL.read_bytes()
    Path("params.yaml").write_text(after)
    assert "from the store" in stage.run()
    assert MODEL.read_bytes() == model and "task" not in read_header(MODEL)


def test_what_cannot_be_learnt_is_refused(labels):
    count = range(48)
    values = {"same": ["A"] * 48, "mark": [f"{n / 2}" for n in count], "none": [""] * 48}
    make_project(labels, values | {"level": [("expert", "novice")[n % 2] for n in count]})
    for task, message in [
        ({"target": "skill"}, r"found 'skill', no column .*Allowed: surgeon, experience, same, m"),
        ({"target": "sha256"}, r"task\.target: found 'sha256', no column"),
        ({"target": "none"}, r"no training video has a value of none"),
        ({"target": "same"}, r"found 'same', .* values A; two or more are needed"),
        ({"target": "mark"}, r"with the value 0\.5, but task\.scale: nominal is for classes"),
        ({"target": "level", "scale": "ordinal"}, r"'level' with the value expert, .*begin with"),
        ({"target": "level", "scale": "number"}, r"the video \d+ has the value '(expert|novice)'"),
        ({"train": ", window: 8"}, r"train\.window is 8, but task\.kind: video needs whole videos"),
    ]:
        settings(**task)
        with pytest.raises(PipelineError, match=message):
            stage.run()


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ("{kind: video}", r"task: kind is video, but target names no column"),
        ("{kind: videos}", r"task\.kind: found 'videos'"),
        (
            "{kind: video, target: a, scale: number}",
            r"train\.monitor: found macro_f1, which is for classes; .* allows: loss",
        ),
    ],
)
def test_params_that_do_not_fit_stop_the_first_stage(workplace, task, message):
    text = (Path(__file__).parents[2] / "params.yaml").read_text()
    section = re.compile(r"^task:.*?(?=^\w)", re.M | re.S)
    Path("params.yaml").write_text(section.sub(f"task: {task}\n", text))
    for check in (check_params, check_candidate):
        with pytest.raises(PipelineError, match=message):
            check(Path("params.yaml"))


@pytest.mark.parametrize(
    ("section", "key", "value", "message"),
    [
        ("postprocess", "kind", "median", r"postprocess smooths .* Set postprocess\.kind: none"),
        ("postprocess", "temperature", True, r"postprocess smooths .* a video has one answer"),
        ("train", "end_to_end", True, r"train\.end_to_end is true, .* Set train\.end_to_end: f"),
    ],
)
def test_what_is_for_phases_is_refused_before_any_frame_is_taken(
    workplace, section, key, value, message
):
    params = yaml.safe_load((Path(__file__).parents[2] / "params.yaml").read_text())
    params["task"] = {"kind": "video", "target": "skill"}
    params[section][key] = value
    Path("params.yaml").write_text(yaml.safe_dump(params))
    with pytest.raises(PipelineError, match=message):
        check_params()


def test_a_class_that_only_other_folds_learn_from_is_named():
    members = [{"fold": 1, "classes_seen": ["1", "2"]}, {"fold": 2, "classes_seen": ["1"]}]
    answers = [Answer(v, t, 0, None, np.ones(1)) for v, t in (("a", 0), ("b", 1), ("c", 1))]
    header = {"members": members, "classes_seen": ["1", "2"]}
    assert _unseen(answers, {"a": 2, "b": 1, "c": 2}, ["1", "2"], header) == ["2"]
    assert _unseen(answers, {"a": 2, "b": 1, "c": 1}, ["1", "2"], header) == []
    assert _unseen(answers, {"a": 2, "b": 1, "c": 2}, (), header) == []


def test_the_report_says_what_the_length_of_the_videos_alone_would_achieve():
    def answers(truth, lengths):
        return [Answer("a", t, 0, None, np.ones(n)) for t, n in zip(truth, lengths, strict=True)]

    assert told_by_length(answers([1, 0, 1, 0], [3, 9, 4, 8]), "ab", False) == "ROC AUC 1.000"
    assert told_by_length(answers([1, 0, 2], [4, 9, 3]), "abc", True) == "Spearman's rho -1.000"
    assert told_by_length(answers([1, 0, 2], [4, 9, 3]), "abc", False) == ""
    assert told_by_length(answers([1, 0, 1, 0], [5, 5, 5, 5]), "ab", False) == "ROC AUC 0.500"


def test_with_a_surgeon_left_out_in_each_fold_all_videos_are_judged_by_strangers(labels):
    names, columns = make_project(labels, planted=experience(labels))
    settings(epochs=6)
    surgeons = sorted(set(columns["surgeon"]))
    rows = [
        (fold, name, "test" if own == left_out else "train")
        for fold, left_out in enumerate(surgeons, start=1)
        for name, own in zip(names, columns["surgeon"], strict=True)
    ]
    table = pd.DataFrame(rows, columns=["fold", "video", "split"])
    write_table(table, Path("data/index/splits.csv"))
    assert f"{len(surgeons)} members" in stage.run()
    evaluate.run()

    details = json.loads(Path("reports/details.json").read_text())
    assert details["test"]["videos"] == len(names)
    assert details["test"]["balanced_accuracy"]["value"] > 0.75
    assert [part["videos"] for part in details["folds"].values()] == [
        columns["surgeon"].count(surgeon) for surgeon in surgeons
    ]
    kept = json.loads(Path("reports/metrics.json").read_text())
    values = [part["accuracy"]["value"] for part in details["folds"].values()]
    assert kept["folds"]["mean"]["accuracy"]["value"] == pytest.approx(np.mean(values), abs=1e-6)
    assert 'id="parts"' in Path("reports/index.html").read_text()
