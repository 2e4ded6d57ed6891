"""One answer per video, exported: the whole video in, logits and attention out."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_models import make_models
from videos import write_video

from pipeline import Predictor
from pipeline.errors import PipelineError
from pipeline.export import answers
from pipeline.export.command import export_models
from pipeline.export.runtime import OnnxModels
from pipeline.export.whole_answers import answers_of
from pipeline.networks.temporal import KINDS
from pipeline.networks.temporal.ensemble import Ensemble
from pipeline.networks.temporal.video_head import KindOfVideos
from pipeline.predict.onnx import predict_videos

DIM, CLASSES = 6, 3
# Torch's recurrent layers, a loop over steps with a state and without one, frames by themselves.
SETTINGS = [
    ("rnn", {"hidden": 5, "layers": 2}, "attention"),
    ("tecno", {"stages": 1, "layers": 2, "maps": 4}, "mean"),
    ("linear", {}, "last"),
    ("row_bilstm", {"maps": 4, "hidden": 3, "dense": 5}, "attention"),
]


@pytest.mark.parametrize(("kind", "values", "pooling"), SETTINGS)
def test_the_form_of_a_graph_answers_as_the_network_does(kind, values, pooling):
    torch.manual_seed(1)
    of_videos = KindOfVideos(KINDS[kind], pooling)
    network = of_videos.build(DIM, CLASSES, KINDS[kind].Params(**values)).eval()
    network.standardise.fit(torch.randn(DIM), torch.rand(DIM) + 0.5)
    graph = answers_of(network)
    for length in (1, 7):
        rows, mask = torch.randn(1, length, DIM), torch.ones(1, length, dtype=torch.bool)
        with torch.no_grad():
            logits, attention = graph(rows)
            right = network(rows, mask).logits[-1][0], network.attention(rows, mask)
        torch.testing.assert_close(logits, right[0], rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(attention, right[1], rtol=1e-3, atol=1e-4)


def test_an_exported_model_answers_without_torch_as_with_it(workplace):
    task = {"kind": "video", "target": "skill", "scale": "ordinal", "pooling": "attention"}
    make_models(task=task)
    assert "predictions are the same" in export_models(Path("models"), "onnx", None, "fp32")
    models = OnnxModels(Path("models/onnx"))
    with pytest.raises(PipelineError, match=r"one answer per video.*call `answer`"):
        models.logits(np.zeros((3, 1024), np.float32))
    write_video(Path("operation.mp4"), 40, fps=5)
    predict_videos(["operation.mp4"], Path("models"), Path("out"), None)
    told = json.loads(Path("out/operation.json").read_text())
    with Predictor(device="cpu", threads=1) as predictor:
        wanted = predictor.answer("operation.mp4")
    assert told["prediction"] == wanted.prediction and told["target"] == "skill"
    shares = list(told["probabilities"].values())
    np.testing.assert_allclose(shares, wanted.probabilities, atol=0.02)
    assert sorted(path.name for path in Path("out").iterdir()) == [
        *("operation.csv", "operation.html", "operation.json")
    ]


def test_several_networks_answer_by_the_mean_of_classes_or_numbers():
    logits = np.random.default_rng(0).normal(size=(2, 3)).astype(np.float32)
    with torch.no_grad():
        wanted = torch.from_numpy(logits).double().softmax(dim=1).mean(dim=0).numpy()
    np.testing.assert_allclose(answers.probabilities(logits), wanted, atol=1e-12)
    members = [{"task": {"mean": 10.0, "std": 2.0}}, {"task": {"mean": 20.0, "std": 4.0}}]
    several = {"members": members, "task": {"target": "grs"}}
    assert answers.score(np.array([[1.0], [-0.5]], np.float32), several) == (12 + 18) / 2
    assert answers.score(np.array([[1.0]], np.float32), members[0]) == 12


def test_the_graph_of_several_networks_has_a_row_for_each():
    kind = KindOfVideos(KINDS["mlp"], "attention")
    each = [kind.build(DIM, CLASSES, KINDS["mlp"].Params()).eval() for _ in range(2)]
    rows, mask = torch.randn(1, 4, DIM), torch.ones(1, 4, dtype=torch.bool)
    with torch.no_grad():
        logits, attention = answers_of(Ensemble(each))(rows)
        for place, network in enumerate(each):
            torch.testing.assert_close(logits[place], network(rows, mask).logits[-1][0, 0])
            torch.testing.assert_close(attention[place], network.attention(rows, mask)[0])
