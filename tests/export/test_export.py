import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import pytest
import torch
from tiny_models import CLASSES, make_models
from videos import write_video

from pipeline import Predictor
from pipeline.backbone_parts import separated
from pipeline.errors import PipelineError
from pipeline.evaluate.predict import load_model
from pipeline.export.command import export_models
from pipeline.export.graph import program_of
from pipeline.export.phases import phases
from pipeline.export.prepare import prepared
from pipeline.export.runtime import OnnxModels, _read_metadata
from pipeline.export.temporal import temporal_graph
from pipeline.networks.backbones import build_backbone
from pipeline.networks.backbones.stretched import Stretched
from pipeline.networks.backbones.transform import Transform
from pipeline.networks.backbones.transform_record import recorded
from pipeline.networks.temporal import KINDS
from pipeline.postprocess.applied import processed
from pipeline.predict.loaded import read_models
from pipeline.result_store import file_hash

MODELS = Path("models")


def images(count, seed=0):
    return np.random.default_rng(seed).integers(256, size=(count, 3, 32, 32)).astype(np.uint8)


def alike(found, wanted):
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-4 * np.abs(wanted).max())


def torch_features(batch):
    """By the network as it was published: nothing folded."""
    models = read_models(MODELS)
    (pair,), recipe = models.pairs.values(), models.recipe
    ((tensors, header),) = separated(pair.backbone, pair.backbone_header)
    backbone = build_backbone(header["name"])
    backbone.network.load_state_dict(tensors)
    transform = backbone.transform.cropped(recipe.features.crop)
    with torch.inference_mode():
        return backbone.network.eval()(transform.normalise(torch.from_numpy(batch))).numpy()


def torch_logits(features):
    network, _ = load_model(MODELS / "temporal.safetensors", torch.device("cpu"))
    rows = torch.from_numpy(features)[None]
    with torch.inference_mode():
        return network(rows, torch.ones(rows.shape[:2], dtype=torch.bool)).logits[-1][0].numpy()


@pytest.fixture(scope="module")
def _made(tmp_path_factory):
    """Models and their export to both formats, made once; nobody writes there."""
    folder = tmp_path_factory.mktemp("made")
    make_models(folder / "models", name="resnet18", seed=3)
    with pytest.MonkeyPatch.context() as here:
        here.chdir(folder)  # where no stage has stored frames
        said = export_models(folder / "models", "onnx", None, "fp32")
        export_models(folder / "models", "torch", None, "fp32")
    assert "random images" in said and "predictions are the same" in said
    return folder


@pytest.fixture
def exported(_made, workplace):
    MODELS.symlink_to(_made / "models")
    return OnnxModels(MODELS / "onnx")


def test_features_and_steps_in_onnx_are_those_of_torch(exported):
    for count in (1, 5):
        batch = images(count, seed=count)
        alike(exported.features(batch), torch_features(batch))
    features = torch_features(images(9))
    np.testing.assert_allclose(exported.logits(features), torch_logits(features), atol=1e-4)
    # Two videos at once, each with a state of its own.
    pair = np.stack([features, features[::-1]])
    state = None
    for frame in range(9):
        logits, state = exported.step(pair[:, frame], state)
    np.testing.assert_allclose(logits[0], torch_logits(features)[-1], atol=1e-4)
    np.testing.assert_allclose(logits[1], torch_logits(pair[1])[-1], atol=1e-4)


def test_the_files_say_what_they_need_and_no_place_on_a_disk(exported):
    assert exported.temporal["classes"] == list(CLASSES)
    assert exported.backbone["transform"]["crop_px"] == 32
    assert exported.backbone["weights_hash"] == exported.temporal["weights_hash"]
    assert "params" not in exported.backbone["backbone"]
    assert exported.temporal["kind"] == "rnn"
    for role, found in (("backbone", exported.backbone), ("temporal", exported.temporal)):
        assert found["dim"] == 512
        assert found["made_from"] == file_hash(MODELS / f"{role}.safetensors")
    onnx.checker.check_model(onnx.load(MODELS / "onnx/backbone.onnx"))


def test_a_torch_program_gives_the_features_of_the_network(exported):
    extra = {"pipeline": ""}
    program = torch.export.load(MODELS / "torch/backbone.pt2", extra_files=extra)
    assert json.loads(extra["pipeline"])["weights_hash"] == exported.backbone["weights_hash"]
    with torch.inference_mode():
        found = program.module()(torch.from_numpy(images(3))).numpy()
    alike(found, torch_features(images(3)))


@pytest.mark.slow
def test_another_family_and_kind(workplace):
    make_models(name="mnasnet0_5", kind="linear", model={})
    export_models(MODELS, "onnx", Path("out"), "fp32")
    models = OnnxModels(Path("out"))
    features = torch_features(images(9))
    alike(models.features(images(9)), features)
    np.testing.assert_allclose(models.logits(features), torch_logits(features), atol=1e-4)


def test_an_offline_network_takes_whole_videos_of_any_length():
    torch.manual_seed(0)
    params = KINDS["mstcn"].Params(stages=2, layers=2, maps=4)
    network = KINDS["mstcn"].build(6, 3, params).eval()
    program = program_of(temporal_graph(network, "mstcn")).module()
    for length in (3, 40):
        rows = torch.randn(1, length, 6)
        with torch.no_grad():
            wanted = network(rows, torch.ones(1, length, dtype=torch.bool)).logits[-1]
            torch.testing.assert_close(program(rows), wanted)


def test_a_video_is_predicted_without_torch(exported):
    write_video(Path("operation.mp4"), 40, fps=5)
    # As on a machine without torch: its import fails.
    code = (
        "import sys; sys.modules.update(torch=None, torchvision=None); import pipeline.cli as c; "
        "sys.argv = ['x', 'predict', 'operation.mp4', '--runtime', 'onnx']; c.main()"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    found = pd.read_csv("predictions/operation.csv")
    with Predictor(device="cpu", threads=1) as predictor:
        wanted = predictor.video("operation.mp4")
    assert found["time_s"].tolist() == wanted.time_s.tolist()
    np.testing.assert_allclose(found.iloc[:, 2:], wanted.probabilities, atol=0.02)


def test_other_wrong_requests_are_refused(workplace):
    with pytest.raises(PipelineError, match="not found"):
        export_models(MODELS, "onnx", None, "fp32")
    make_models()
    with pytest.raises(PipelineError, match="--to torch knows fp32 only"):
        export_models(MODELS, "torch", None, "fp16")
    with pytest.raises(PipelineError, match="Run `dvc repro frames`"):
        export_models(MODELS, "onnx", None, "int8")
    features = {"precision": "fp32", "dtype": "float16", "decoder": "opencv", "tta": "flip"}
    make_models(features=features)
    with pytest.raises(PipelineError, match=r"features\.tta: found flip"):
        export_models(MODELS, "onnx", None, "fp32")
    make_models(features={"precision": "int8"}, int8=[])
    with pytest.raises(PipelineError, match=r"features of features\.precision: int8"):
        export_models(MODELS, "onnx", None, "fp32")


def test_a_missing_library_is_named_with_how_to_install_it(workplace, monkeypatch):
    make_models()
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(PipelineError, match=r"pip install 'surgical-phase-pipeline\[onnx\]'"):
        export_models(MODELS, "onnx", None, "fp32")


PRIOR = {
    "start": [0.4, 0.2, 0.2, 0.2],
    "transitions": (np.full((4, 4), 1 / 3) - np.eye(4) / 3).tolist(),
    "leave": [0.2] * 4,
    "least": [1, 2, 3, 2],
}


@pytest.mark.parametrize(
    "numbers",
    [
        {},
        {"params": {"kind": "median", "online": True}, "frames": 3},
        {"params": {"kind": "median", "online": False}, "frames": 5},
        {"params": {"kind": "min_duration"}, "frames": 4},
        {"params": {"kind": "viterbi"}, "prior": PRIOR},
        {"params": {"kind": "viterbi", "online": True}, "prior": PRIOR},
    ],
)
def test_phases_are_smoothed_as_with_torch(numbers):
    logits = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    header = {"temperature": 1.7, "postprocess": numbers} if numbers else {}
    probabilities, found = phases(logits, header)
    wanted = processed(torch.from_numpy(logits), header)
    np.testing.assert_allclose(probabilities, wanted[0], atol=1e-6)
    np.testing.assert_array_equal(found, wanted[1])


@pytest.mark.parametrize("size", [(64, 90), (90, 64), (57, 57)])
@pytest.mark.parametrize("stretched", [False, True])
def test_a_frame_is_prepared_as_with_torch_but_for_one_grey_level(size, stretched):
    image = np.random.default_rng(1).integers(256, size=(*size, 3)).astype(np.uint8)
    numbers = {"resize_px": 40, "crop_px": 32, "interpolation": "bilinear", "channels": "bgr"}
    numbers |= {"mean": (0.0,) * 3, "std": (1.0,) * 3}
    transform = Stretched(**numbers, width_px=48) if stretched else Transform(**numbers)
    wanted = transform.prepare(torch.from_numpy(image).permute(2, 0, 1)).numpy()
    found = prepared(image, recorded(transform))
    assert found.shape == wanted.shape
    assert np.abs(found.astype(int) - wanted).max() <= 1


def test_another_program_s_metadata_count_as_none():
    assert _read_metadata({"format": "theirs", "classes": "A, B"}) == {}
    assert _read_metadata({"classes": "A, B"}) == {}
    assert _read_metadata({"format": "1", "onnx.infer": "x"}) == {"format": 1}
