"""Phase and step of the same frames, through the stages train and evaluate."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from tracks_project import LENGTH, STEPS, make_project, settings

from pipeline.checkpoint import read_header
from pipeline.errors import PipelineError
from pipeline.evaluate import stage as evaluate
from pipeline.evaluate.params import EvaluateParams
from pipeline.evaluate.predict import load_model, predict
from pipeline.evaluate.tracks import answering, scored_tracks
from pipeline.prediction_files import read_prediction
from pipeline.sequences import read_split
from pipeline.task import read_task
from pipeline.train import stage

MODEL = Path("models/temporal.safetensors")
TRACKS = Path("data/index/tracks.csv")


@pytest.fixture
def project(workplace):
    make_project()


def relabel(video):
    """Swap the steps of a video."""
    table = pd.read_csv(TRACKS)
    own = table["video"] == video
    table.loc[own, "label"] = table.loc[own, "label"].map(
        dict(zip(STEPS, STEPS[::-1], strict=True))
    )
    table.to_csv(TRACKS, index=False)


def test_planted_phases_and_steps_are_both_learnt_and_reported(project):
    stage.run()
    header = read_header(MODEL)
    assert header["classes"] == ["A", "B", "C"]
    assert header["tracks"] == {"phase": ["A", "B", "C"], "step": ["hold", "cut"]}
    model = MODEL.read_bytes()
    assert "Accuracy" in evaluate.run()
    details = json.loads(Path("reports/details.json").read_text())
    step = details["tracks"]["step"]
    assert details["test"]["frame"]["accuracy"]["mean"] > 0.9
    assert step["frame"]["accuracy"]["mean"] > 0.9
    assert details["test"]["frames"] == 120 and step["frames"] == 100  # ten seconds unlabelled
    assert set(step["phase"]) == set(STEPS)
    kept = json.loads(Path("reports/metrics.json").read_text())["tracks"]["step"]
    assert kept["frame"]["accuracy"]["mean"] == step["frame"]["accuracy"]["mean"]
    assert [path.name for path in sorted(Path("reports/predictions").glob("*.csv"))] == [
        "f.csv",
        "g.csv",
    ]
    table = read_prediction(Path("reports/predictions/step/f.csv"), "f")
    assert table.classes == STEPS and not table.scored.labelled[:10].any()
    page = Path("reports/index.html").read_text()
    assert 'id="track-step"' in page and 'data-video="step: f"' in page
    for video in ("f", "g"):
        relabel(video)
    assert "from the store" in stage.run() and MODEL.read_bytes() == model
    relabel("a")
    assert "from the store" not in stage.run()


@pytest.mark.parametrize(
    "model",
    [
        "{kind: tecno, tecno: {layers: 2, maps: 8, dropout: 0}}",
        "{kind: mstcn, mstcn: {stages: 2, layers: 2, maps: 8, dropout: 0}}",
        "{kind: asformer, asformer: {decoders: 1, layers: 2, maps: 8, dropout: 0}}",
    ],
)
def test_networks_with_refinements_learn_both_tracks(project, model):
    settings(model=model)
    stage.run()
    evaluate.run()
    details = json.loads(Path("reports/details.json").read_text())
    assert details["test"]["frame"]["accuracy"]["mean"] > 0.9
    assert details["tracks"]["step"]["frame"]["accuracy"]["mean"] > 0.9
    network, header = load_model(MODEL, torch.device("cpu"))
    (video,) = (video for video in read_split("test") if video.video == "f")
    table = read_prediction(Path("reports/predictions/step/f.csv"), "f")
    scored = predict(answering(network, 1), header, video, torch.device("cpu"))
    np.testing.assert_allclose(scored.probabilities, table.scored.probabilities, atol=1e-4)


def test_a_model_of_phases_does_not_know_that_there_are_steps(project):
    models = []
    for tracks, there in (("[phase]", True), ("[phase]", False), ("[phase, step]", True)):
        shutil.rmtree(".store", ignore_errors=True)
        if not there:
            TRACKS.rename("away.csv")
        settings(tracks, train=", epochs: 3, early_stop: 3")
        stage.run()
        models.append(MODEL.read_bytes())
        if not there:
            Path("away.csv").rename(TRACKS)
    assert models[0] == models[1] != models[2]
    assert read_header(MODEL)["task"]["tracks"] == ["phase", "step"]


def test_the_loss_of_all_tracks_may_choose_the_weights(project):
    settings(train=", monitor: loss")
    assert "val loss" in stage.run()
    curves = pd.read_csv("reports/train/history.csv")
    assert curves["val_macro_f1"].isna().all() and curves["val_loss"].notna().all()


def test_folds_and_seeds_train_a_head_for_each_track(project):
    folds = [
        (1, "train", "train", "val", "test", "test"),
        (2, "test", "test", "train", "train", "val"),
    ]
    rows = [(fold, v, s) for fold, *own in folds for v, s in zip("abcde", own, strict=True)]
    pd.DataFrame(rows, columns=["fold", "video", "split"]).to_csv(
        "data/index/splits.csv", index=False
    )
    settings(train=", seeds: [1, 2]", model="{kind: rnn, hidden: 8, layers: 1, dropout: 0}")
    text = Path("params.yaml").read_text()
    Path("params.yaml").write_text(text.replace("epochs: 30", "epochs: 4"))
    assert "4 members" in stage.run()
    device = torch.device("cpu")
    network, header = load_model(MODEL, device)
    (step,) = scored_tracks(network, header, EvaluateParams(bootstrap=0), device)
    assert step.name == "step" and set(step.scored) == set("abde")
    with torch.inference_mode():  # the mean of both seeds of the fold that tests it
        features = torch.from_numpy(step.tests[0].sequence.features).float()[None]
        mask = torch.ones(1, LENGTH, dtype=torch.bool)
        both = [answering(network[n], 1)(features, mask).logits[-1].softmax(2)[0] for n in (2, 3)]
    mean = (both[0] + both[1]) / 2
    np.testing.assert_allclose(step.scored["a"].probabilities, mean, atol=1e-6)


def test_an_unknown_track_is_refused_with_those_that_are_there(project):
    settings(tracks="[phase, action]")
    with pytest.raises(PipelineError, match=r"found action\..* allows: phase, step"):
        stage.run()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"tracks": "[step, phase]"}, "Begin with phase"),
        ({"tracks": "[phase, step, step]"}, "each further track once"),
        ({"model": "{kind: transsvnet}"}, "transsvnet mixes the logits .* rnn, tecno, linear, mlp"),
        ({"train": ", end_to_end: true"}, "train.end_to_end: found true"),
    ],
)
def test_what_several_tracks_do_not_go_with_is_refused(project, changed, message):
    settings(**changed)
    with pytest.raises(PipelineError, match=message):
        stage.run()


def test_one_answer_per_video_has_no_tracks(project):
    text = Path("params.yaml").read_text()
    Path("params.yaml").write_text(text.replace("kind: frames,", "kind: video, target: skill,"))
    with pytest.raises(PipelineError, match="several tracks are labels of frames"):
        read_task()
