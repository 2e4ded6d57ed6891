import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pandas as pd
import pytest
import torch
from features_project import add_video
from onnx import TensorProto
from tiny_models import CLASSES, make_models
from torch import nn
from videos import write_video

from pipeline.errors import PipelineError
from pipeline.evaluate.predict import load_model
from pipeline.export import command
from pipeline.export.accuracy import validation_accuracy
from pipeline.export.images import batches
from pipeline.export.runtime import OnnxModels
from pipeline.feature_store import write_features
from pipeline.features.precision import in_fp32
from pipeline.frame_store import FrameFile
from pipeline.networks.backbones import build_backbone
from pipeline.networks.backbones.contract import Backbone
from pipeline.predict.onnx import predict_videos
from pipeline.tables import write_table

MODELS = Path("models")
DIM = 1024  # as the models that stand for the pair say
TRANSFORM = build_backbone("shufflenet_v2_x0_5").transform.cropped(32)


def tiny_backbone(tensors, name):
    """Two convolutions: what becomes of a number in fewer bits does not depend on the depth."""
    torch.manual_seed(5)
    network = nn.Sequential(
        *(nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(), nn.Conv2d(8, DIM, 3), nn.ReLU()),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
    )
    network.eval().requires_grad_(False)
    return Backbone(
        **{"name": name, "network": network, "dim": DIM, "transform": TRANSFORM},
        **{"blocks": lambda: [network[0]], "pool": network[4], "classifier_keys": ()},
        in_full=() if name.startswith("shuffle") else None,
    )


def torch_features(video):
    network = in_fp32(tiny_backbone({}, "shufflenet_v2_x0_5"), TRANSFORM)
    with FrameFile(Path(f"data/frames/{video}.h5")) as frames:
        parts = batches(frames, frames.kept, TRANSFORM)
        return np.concatenate([network(torch.from_numpy(images)).numpy() for images in parts])


def torch_phases(features):
    network, _ = load_model(MODELS / "temporal.safetensors", torch.device("cpu"))
    rows = torch.from_numpy(features)[None]
    with torch.inference_mode():
        logits = network(rows, torch.ones(rows.shape[:2], dtype=torch.bool)).logits[-1][0]
    return logits.argmax(dim=1).tolist()


def write_phases(phases, wrong=0):
    """Runs of a second; the first ones have the next class in place of their own."""
    names = [CLASSES[(p + (i < wrong)) % len(CLASSES)] for i, p in enumerate(phases)]
    rows = [("v", i - 0.5, i + 0.5, name) for i, name in enumerate(names)]
    table = pd.DataFrame(rows, columns=["video", "start_s", "end_s", "phase"])
    write_table(table, Path("data/index/labels.csv"))


@pytest.fixture
def project(workplace, monkeypatch):
    """Frames of two training and one validation video, whose labels are what torch predicts."""
    monkeypatch.setattr(command, "rebuilt_backbone", tiny_backbone)
    make_models(kind="linear", model={})
    for seed, video in enumerate("abv"):
        add_video(workplace, video, 20, seed)
    splits = pd.DataFrame({"video": list("abv"), "split": ["train", "train", "val"]})
    Path("data/index").mkdir(parents=True)
    write_table(splits, Path("data/index/splits.csv"))
    write_table(pd.DataFrame({"phase": CLASSES}), Path("data/index/phases.csv"))
    features = torch_features("v")
    attributes = {"video": "v", "fps": 1.0, "weights_hash": "w", "fingerprint": "v"}
    Path("features/videos").mkdir(parents=True)
    Path("features/videos/skipped.csv").write_text("video,reason\n")
    write_features(Path("features/videos/v.h5"), features, np.arange(20.0), attributes)
    write_phases(torch_phases(features))
    return workplace


@pytest.mark.parametrize(
    ("precision", "kind", "largest"),
    [("fp16", TensorProto.FLOAT16, 0.005), ("int8", TensorProto.INT8, 0.1)],
)
def test_a_backbone_in_fewer_bits_still_predicts(project, precision, kind, largest):
    said = command.export_models(MODELS, "onnx", Path("out"), precision)
    graph = onnx.load("out/backbone.onnx").graph
    assert kind in {weights.data_type for weights in graph.initializer}
    models = OnnxModels(Path("out"))
    assert models.backbone["precision"] == precision
    wanted = torch_features("v")
    with FrameFile(Path("data/frames/v.h5")) as frames:
        found = np.concatenate(
            [models.features(part) for part in batches(frames, frames.kept, TRANSFORM)]
        )
    distance = np.linalg.norm(found - wanted, axis=1) / np.linalg.norm(wanted, axis=1)
    assert 0 < distance.max() < largest
    # The labels are what torch predicts, so that the accuracy is the share of equal predictions.
    right = 100 * np.mean(models.logits(found).argmax(axis=1) == torch_phases(wanted))
    line = f"accuracy on 1 validation videos: {right:.2f} %, with the project's features 100.00 %"
    assert line in said
    write_video(Path("operation.mp4"), 20, fps=5)
    predict_videos(["operation.mp4"], Path("out"), Path("predictions"), None)
    table = pd.read_csv("predictions/operation.csv")
    assert len(table) == 4
    np.testing.assert_allclose(table.iloc[:, 2:].sum(axis=1), 1, atol=1e-3)


def test_accuracy_is_the_share_of_frames_whose_label_is_met(project):
    rows = np.random.default_rng(0).normal(size=(20, len(CLASSES))).astype(np.float32)
    # Models that count: their features are of no use, and their phases are always the same.
    models = SimpleNamespace(
        of_videos=False,
        features=lambda images: np.zeros((len(images), DIM), np.float32),
        logits=lambda features: rows,
        temporal={},
    )
    write_phases(rows.argmax(axis=1).tolist(), wrong=5)
    said = validation_accuracy(models, TRANSFORM)
    assert re.findall(r"[\d.]+ %", said) == ["75.00 %", "75.00 %"]
    Path("data/frames/v.h5").unlink()
    said = validation_accuracy(models, TRANSFORM)
    assert said.startswith("accuracy on validation videos not measured: ") and "lacks v" in said


def test_int8_is_refused_for_a_family_that_loses_too_much(project):
    make_models(name="mobilenet_v3_small")
    with pytest.raises(PipelineError, match="mobilenet_v3_small loses too much by it"):
        command.export_models(MODELS, "onnx", Path("out"), "int8")
    assert not Path("out").exists()
