"""The evaluate stage on a small project (scored_project.py): what it writes and refuses."""

import hashlib
import json
import re
import shutil
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from scored_project import write_video

from pipeline.checkpoint import load_checkpoint, save_checkpoint
from pipeline.errors import PipelineError
from pipeline.evaluate import predict, stage
from pipeline.evaluate.facts import training_of, untrained
from pipeline.feature_store import read_features, write_features
from pipeline.phases import CHOLEC80
from pipeline.tables import write_table


def hashes():
    return {
        str(p): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(Path("reports").rglob("*"))
        if p.is_file()
    }


@pytest.fixture
def page_only(monkeypatch):
    """The stage leaves its plots as they were: they take most of its time."""
    monkeypatch.setattr(stage, "drawn_beside", lambda: nullcontext(lambda *_: None))


def test_all_outputs_are_written_and_have_the_same_bytes_every_time(evaluated):
    first = hashes()
    stage.run()
    assert hashes() == first
    for name in ("metrics.json", "details.json", "index.html", "predictions/b.csv"):
        assert f"reports/{name}" in first
    for name in ("confusion", "phases", "reliability"):
        assert {f"reports/plots/{name}_test.csv", f"reports/plots/{name}_test.png"} <= set(first)


def test_the_page_is_self_contained_and_shows_the_values_of_details_json(evaluated):
    page = Path("reports/index.html").read_text()
    assert not re.search(r'(src|href)="(?!data:|#)', page)
    assert not re.search("https?:", page.replace("http://www.w3.org/2000/svg", ""))
    assert "/secret/place" not in page
    metrics = json.loads(Path("reports/details.json").read_text())
    accuracy = metrics["test"]["frame"]["accuracy"]
    assert f"{100 * accuracy['mean']:.1f} ± {100 * accuracy['std']:.1f} %" in page
    relaxed = metrics["test"]["relaxed"]["official"]["accuracy"]["mean"]
    assert f"{100 * relaxed:.1f} ±" in page


def test_the_page_names_untrained_weights_skipped_videos_and_unseen_phases(evaluated):
    page = Path("reports/index.html").read_text()
    assert "The backbone is untrained" in page
    assert "1 damaged video was left out" in page and "z.mp4 has zero bytes" in page
    assert "Training never saw GallbladderDissection." in page


def test_predictions_hold_probabilities_and_an_empty_truth_where_unlabelled(evaluated):
    table = pd.read_csv("reports/predictions/c.csv", keep_default_na=False)
    assert len(table) == 50
    assert (table["truth"] == "").sum() == 10
    shares = table[[f"p_{phase}" for phase in CHOLEC80]].to_numpy(dtype=float)
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-4)
    likeliest = np.array(CHOLEC80)[shares.argmax(axis=1)]
    assert (likeliest == table["prediction"]).all()
    metrics = json.loads(Path("reports/details.json").read_text())["test"]
    assert metrics["videos"] == 2 and metrics["frames"] == 80


def test_the_interval_of_each_phase_is_in_its_row(evaluated):
    row = json.loads(Path("reports/details.json").read_text())["test"]["phase"]["Preparation"]
    ends = f"{100 * row['f1_ci_low']:.1f} to {100 * row['f1_ci_high']:.1f} %"
    shown = re.search(r'data-key="test.phase.Preparation.f1">(.*?)</td><td>(.*?)</td>', page_text())
    assert shown.groups() == (f"{100 * row['f1']:.1f} %", ends)


def test_ribbons_go_from_the_worst_video_to_the_best(evaluated):
    page = Path("reports/index.html").read_text()
    order = re.findall(r'class="ribbon" data-video="(\w+)"', page)
    accuracy = {}
    for video in order:
        table = pd.read_csv(f"reports/predictions/{video}.csv", keep_default_na=False)
        table = table[table["truth"] != ""]
        accuracy[video] = (table["truth"] == table["prediction"]).mean()
    assert order == sorted(order, key=accuracy.__getitem__) and len(order) == 2


def test_features_of_another_backbone_are_refused(project):
    for name, length in (("a", 45), ("b", 41), ("c", 50)):
        write_video(name, length, weights="other")
    with pytest.raises(
        PipelineError, match=r"features/videos/b\.h5: 8-d at 1 fps from backbone other"
    ):
        stage.run()


def test_other_phases_than_the_models_are_refused(project):
    write_table(pd.DataFrame({"phase": ["A", "B"]}), Path("data/index/phases.csv"))
    table = pd.DataFrame([("b", 0, 9, "A")], columns=["video", "start_s", "end_s", "phase"])
    write_table(table, Path("data/index/labels.csv"))
    with pytest.raises(PipelineError, match="trained on the phases Preparation"):
        stage.run()


def test_no_readable_test_video_is_an_error(project):
    Path("features/videos/skipped.csv").write_text("video,reason\nb,x\nc,x\nz,x\n")
    with pytest.raises(PipelineError, match="test has no readable video"):
        stage.run()


def test_the_model_that_is_scored_is_the_one_that_was_saved(project):
    tensors, header = load_checkpoint(Path("models/temporal.safetensors"))
    network, found = predict.load_model(Path("models/temporal.safetensors"), torch.device("cpu"))
    assert found == header
    assert torch.equal(network.head.weight, tensors["head.weight"])


def test_a_model_of_a_version_whose_network_was_another_is_to_be_trained_again(project):
    path = Path("models/temporal.safetensors")
    tensors, header = load_checkpoint(path)
    tensors["gone.weight"] = tensors.pop("head.weight")
    save_checkpoint(path, tensors, header)
    with pytest.raises(PipelineError, match=r"differs in gone\.weight, head\.weight.*dvc repro"):
        stage.run()


def values(node):
    return sum(values(v) for v in node.values()) if isinstance(node, dict) else 1


def test_metrics_json_holds_at_most_thirty_values_that_details_json_holds_too(evaluated, page_only):
    """With validation videos and the relaxed metrics of Cholec80, which is the most there is."""
    splits = "video,split\na,train\nb,test\nc,test\nd,val\ne,val\n"
    Path("data/index/splits.csv").write_text(splits)
    labels = pd.read_csv("data/index/labels.csv")
    extra = [labels[labels["video"] == "a"].assign(video=name) for name in "de"]
    write_table(pd.concat([labels, *extra]), Path("data/index/labels.csv"))
    write_video("d", 44)
    write_video("e", 47)
    stage.run()
    metrics, details = (
        json.loads(Path(f"reports/{name}.json").read_text()) for name in ("metrics", "details")
    )
    assert set(metrics) == {"test", "val"}
    assert values(metrics) == 30 < 300 < values(details)
    assert 0 < metrics["test"]["frame"]["accuracy"]["mean"] < 1
    assert metrics["val"]["frame"]["accuracy"]["ci_low"] is not None

    def within(part, whole):
        if not isinstance(part, dict):
            return part == whole
        return all(within(value, whole[key]) for key, value in part.items())

    assert within(metrics, details)


def shown_parameters():
    return dict(re.findall(r"<code>([\w.]+)</code></th><td>(.*?)</td>", page_text()))


def test_the_page_shows_the_parameters_of_the_models_and_of_itself(evaluated):
    assert shown_parameters() == {
        **{"backbone.crop": "none", "backbone.name": "resnet18", "backbone.weights": "w.pth"},
        **{"data.layout": "csv", "evaluate.bootstrap": "200", "evaluate.relaxed_seconds": "10"},
        **{"evaluate.map": "pca"},
        **{"frames.fps": "1", "seed": "1", "split.scheme": "column", "train.lr": "0.1"},
        **{"model.kind": "rnn", "model.rnn": "lstm", "model.hidden": "4", "model.layers": "1"},
        **{"model.dropout": "0", "model.bidirectional": "false"},
    }


def test_the_page_depends_on_no_parameter_that_dvc_does_not_track_for_it(evaluated, page_only):
    """A page of parameters that changed since the training would claim what was not run."""
    before = page_text()
    content = yaml.safe_load(Path("params.yaml").read_text())
    content["seed"] = 7
    content["frames"] = {"fps": 5}
    content["train"] = {"lr": 9.0}
    content["data"]["root"] = "/elsewhere"
    content["runtime"]["batch"] = 3
    Path("params.yaml").write_text("# laid out anew\n" + yaml.safe_dump(content))
    stage.run()
    assert page_text() == before


def test_groups_that_a_header_lacks_are_not_shown(evaluated, page_only):
    for name in ("backbone", "temporal"):
        path = Path(f"models/{name}.safetensors")
        tensors, header = load_checkpoint(path)
        for group in ("params", "frames"):
            header.pop(group, None)
        save_checkpoint(path, tensors, header)
    stage.run()
    assert "frames.fps" not in shown_parameters() and "data.layout" in shown_parameters()


def test_the_cost_of_the_backbone_is_that_at_the_crop_of_the_features(evaluated):
    assert "11.18 M parameters, 0.17 GFLOP per frame" in page_text()
    # Two operations per weight of one LSTM layer of 4 units on 8 features, then 7 phases.
    assert "0.00 MFLOP per frame" in page_text()


def test_nothing_is_timed(evaluated):
    assert not Path("reports/efficiency.json").exists()
    assert "ms per frame" not in page_text()


def test_without_frames_everything_is_the_same_but_the_thumbnails(evaluated, request):
    first, page = hashes(), page_text()
    assert page.count("<figure><img") >= 6 and "are not shown" not in page
    shutil.rmtree("data/frames")
    stage.run()
    second = hashes()
    assert {name for name in first if first[name] != second[name]} == {"reports/index.html"}
    assert "<figure><img" not in page_text()
    assert re.search(r"Frames of \w(, \w)? are not shown: .* <code>data/frames</code>", page_text())
    request.getfixturevalue("page_only")  # plots without frames were those with frames
    stage.run()
    assert hashes() == second


def test_frames_that_the_features_were_not_made_from_are_not_shown(evaluated, page_only):
    path = Path("features/videos/b.h5")
    found = read_features(path)
    attributes = dict(found.attributes) | {"frames_fingerprint": "others"}
    write_features(path, found.features, found.time_s, attributes)
    stage.run()
    assert "Frames of b are not shown" in page_text()
    assert 'alt="Frame of c at' in page_text() and 'alt="Frame of b at' not in page_text()


def test_lost_pictures_are_counted_beside_skipped_videos(evaluated, page_only):
    assert "cannot be decoded" not in page_text()
    Path("features/videos/masked.csv").write_text("video,lost,samples\n")
    stage.run()
    assert "cannot be decoded" not in page_text()
    Path("features/videos/masked.csv").write_text("video,lost,samples\nb,3,41\n")
    stage.run()
    assert "1 video has pictures that cannot be decoded" in page_text()
    assert "b: 3 of 41 samples" in page_text()


def page_text():
    return Path("reports/index.html").read_text()


def test_predictions_that_were_edited_by_hand_are_named(evaluated):
    from pipeline.prediction_files import read_prediction

    path = Path("reports/predictions/b.csv")
    text = path.read_text()
    back = read_prediction(path, "b.csv")
    assert back.classes == CHOLEC80 and len(back.time_s) == 41
    path.write_text(text.replace("Preparation,", "Praeparation,", 2))
    with pytest.raises(PipelineError, match=r"b.csv: .*; (allowed|expected)"):
        read_prediction(path, "b.csv")
    path.write_text("time_s,truth\n")
    with pytest.raises(PipelineError, match="no column prediction"):
        read_prediction(path, "b.csv")


def test_what_was_done_to_the_backbone_is_told():
    study = {"training_frames": 1234, "training_videos": 7, "strategy": "whole"}
    study |= {"best_epoch": 3, "epochs": 9}
    adabn = {"split": "test", "videos": ["a", "b"], "frames": 88}
    frozen = {"weights": "random"}
    assert training_of(frozen) == "" and untrained(frozen)
    both = frozen | {"finetune": study, "adabn": adabn}
    assert not untrained(both) and untrained(frozen | {"adabn": adabn})
    assert "fine-tuned on 1,234 frames of 7 training videos (whole, epoch 3 of 9" in training_of(
        both
    )
    assert "batch norm re-estimated on 88 frames of 2 videos (test), without labels, so" in (
        training_of(both)
    )
    adabn["split"] = "val"
    assert "transductive" not in training_of(both)
