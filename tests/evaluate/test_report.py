"""The evaluate stage on a small project (conftest.py): what it writes and what it refuses."""

import hashlib
import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from pipeline.evaluate.provenance import revision_of, training_of, untrained
from scored_project import write_video

from pipeline.checkpoint import load_checkpoint
from pipeline.errors import PipelineError
from pipeline.evaluate import stage
from pipeline.phases import CHOLEC80
from pipeline.tables import write_table


def hashes():
    return {
        str(p): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(Path("reports").rglob("*"))
        if p.is_file() and p.name != "efficiency.json"
    }


def test_all_outputs_are_written_and_have_the_same_bytes_every_time(project):
    stage.run()
    first = hashes()
    stage.run()
    assert hashes() == first
    for name in ("metrics.json", "index.html", "predictions/b.csv", "plots/ribbons/c.png"):
        assert f"reports/{name}" in first
    for name in ("confusion", "phases", "reliability"):
        assert {f"reports/plots/{name}_test.csv", f"reports/plots/{name}_test.png"} <= set(first)


def test_the_page_is_self_contained_and_shows_the_figures_of_metrics_json(project):
    stage.run()
    page = Path("reports/index.html").read_text()
    assert not re.search(r'(src|href)="(?!data:|#)', page)
    assert not re.search("https?:", page.replace("http://www.w3.org/2000/svg", ""))
    assert "/secret/place" not in page
    metrics = json.loads(Path("reports/metrics.json").read_text())
    accuracy = metrics["test"]["frame"]["accuracy"]
    assert f"{100 * accuracy['mean']:.1f} ± {100 * accuracy['std']:.1f} %" in page
    relaxed = metrics["test"]["relaxed"]["official"]["accuracy"]["mean"]
    assert f"{100 * relaxed:.1f} ±" in page


def test_the_page_names_untrained_weights_skipped_videos_and_unseen_phases(project):
    stage.run()
    page = Path("reports/index.html").read_text()
    assert "The backbone is untrained" in page
    assert "1 damaged video was left out" in page and "z.mp4 has zero bytes" in page
    assert "Training never saw GallbladderDissection." in page


def test_predictions_hold_probabilities_and_an_empty_truth_where_unlabelled(project):
    stage.run()
    table = pd.read_csv("reports/predictions/c.csv", keep_default_na=False)
    assert len(table) == 50
    assert (table["truth"] == "").sum() == 10
    shares = table[[f"p_{phase}" for phase in CHOLEC80]].to_numpy(dtype=float)
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-4)
    likeliest = np.array(CHOLEC80)[shares.argmax(axis=1)]
    assert (likeliest == table["prediction"]).all()
    metrics = json.loads(Path("reports/metrics.json").read_text())["test"]
    assert metrics["videos"] == 2 and metrics["frames"] == 80


def test_ribbons_go_from_the_worst_video_to_the_best(project):
    stage.run()
    page = Path("reports/index.html").read_text()
    order = re.findall(r'class="ribbon" data-video="(\w+)"', page)
    accuracy = {}
    for video in order:
        table = pd.read_csv(f"reports/predictions/{video}.csv", keep_default_na=False)
        table = table[table["truth"] != ""]
        accuracy[video] = (table["truth"] == table["prediction"]).mean()
    assert order == sorted(order, key=accuracy.__getitem__) and len(order) == 2


def test_features_of_another_backbone_are_refused(project):
    for name, length in (("b", 41), ("c", 50)):
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
    network, found = stage.load_model(Path("models/temporal.safetensors"), torch.device("cpu"))
    assert found == header
    assert torch.equal(network.head.weight, tensors["head.weight"])


def test_efficiency_holds_the_costs_and_what_was_timed(project):
    stage.run()
    found = json.loads(Path("reports/efficiency.json").read_text())
    assert found["backbone"]["parameters"] == 11_176_512  # ResNet-18 without its classifier
    # One LSTM layer of 4 units on 8 features, then 7 phases; two operations per weight.
    assert found["head"]["flops_per_frame"] == 2 * (16 * 8 + 16 * 4 + 7 * 4)
    assert found["timings"]["latency_ms_per_frame"] > 0
    assert found["timings"]["throughput_frames_per_s"] > 0


def test_the_revision_of_the_parameters_is_found_in_git(project):
    params = Path("params.yaml")
    git("init", "-q")
    git("add", "params.yaml")
    git("commit", "-q", "-m", "first")
    first = git("rev-parse", "--short", "HEAD")
    stage.run()
    digest = re.search('name="parameters" content="(.*?)"', page_text()).group(1)
    assert revision_of(digest) == first
    params.write_text(params.read_text().replace("bootstrap: 200", "bootstrap: 300"))
    git("commit", "-qam", "second")
    assert revision_of(digest) == first
    stage.run()
    assert revision_of(re.search('parameters" content="(.*?)"', page_text()).group(1)) != first


def test_the_layout_of_the_parameters_and_the_runtime_leave_the_page_alone(project):
    params = Path("params.yaml")
    stage.run()
    before = page_text()
    content = yaml.safe_load(params.read_text())
    content["runtime"]["batch"] = 3
    params.write_text("# laid out anew\n" + yaml.safe_dump(content))
    stage.run()
    assert page_text() == before


def page_text():
    return Path("reports/index.html").read_text()


def git(*arguments):
    author = ("-c", "user.name=T", "-c", "user.email=t@example.org")
    command = ["git", *author, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_paper_figures_have_300_dpi_and_the_same_bytes_every_time(project):
    from PIL import Image
    from pipeline.report.paper import write_paper_figures

    stage.run()
    metrics = json.loads(Path("reports/metrics.json").read_text())
    folder = write_paper_figures(metrics)
    first = hashes()
    assert {p.name for p in folder.iterdir()} == {
        *("ribbon_b.png", "ribbon_c.png", "confusion.png", "phases.png")
    }
    with Image.open(folder / "ribbon_b.png") as picture:
        assert picture.size[0] == 3000 and set(picture.info) == {"dpi"}
    write_paper_figures(metrics)
    assert hashes() == first


def test_predictions_that_were_edited_by_hand_are_named(project):
    from pipeline.prediction_files import read_prediction

    stage.run()
    path = Path("reports/predictions/b.csv")
    text = path.read_text()
    back = read_prediction(path, "b.csv")
    assert back.phases == CHOLEC80 and len(back.time_s) == 41
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
