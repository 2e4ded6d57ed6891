import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from tiny_models import make_models

from pipeline.errors import PipelineError
from pipeline.export.runtime import FORMAT_VERSION, OnnxModels
from pipeline.predict.onnx import OnnxPredictor, predict_videos
from pipeline.result_store import file_hash

SHARED = {"dim": 4, "classes": ["a", "b"], "weights_hash": "0123456789abcdef", "fps": 1.0}
FRAMES = {"fps": 1, "short_side": 32, "crop_borders": False, "quality": 95}
FRAMES |= {"decoder": "pyav", "on_error": "stop"}


def write_graph(path, metadata):
    """A graph that hands on what it gets: only what it says of itself matters here."""
    rows = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 4]) for name in "xy"]
    node = helper.make_node("Identity", ["x"], ["y"])
    model = helper.make_model(
        helper.make_graph([node], "graph", rows[:1], rows[1:]),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=10,
    )
    helper.set_model_props(model, {k: json.dumps(v) for k, v in metadata.items()})
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)


def write_pair(folder, backbone=None, temporal=None):
    """Both files of an export, but for what is changed."""
    common = {"format": FORMAT_VERSION, **SHARED, "frames": FRAMES}
    write_graph(folder / "backbone.onnx", common | {"role": "backbone"} | (backbone or {}))
    temporal = {"role": "temporal", "form": "sequence", "kind": "mstcn"} | (temporal or {})
    write_graph(folder / "temporal.onnx", common | temporal)


def refusal(action):
    with pytest.raises(PipelineError) as error:
        action()
    assert "\n" not in str(error.value)
    return str(error.value)


def test_two_files_of_one_export_are_taken(tmp_path):
    write_pair(tmp_path)
    assert OnnxModels(tmp_path).temporal["kind"] == "mstcn"
    row = np.ones((1, 4), np.float32)
    np.testing.assert_array_equal(OnnxModels(tmp_path).features(row), row)


def test_exchanged_files_are_named(tmp_path):
    write_pair(tmp_path)
    (tmp_path / "backbone.onnx").rename(tmp_path / "kept")
    (tmp_path / "temporal.onnx").rename(tmp_path / "backbone.onnx")
    (tmp_path / "kept").rename(tmp_path / "temporal.onnx")
    said = refusal(lambda: OnnxModels(tmp_path))
    assert "backbone.onnx: holds a temporal model, not a backbone model" in said
    shutil.copy(tmp_path / "temporal.onnx", tmp_path / "backbone.onnx")
    assert "temporal.onnx: holds a backbone model" in refusal(lambda: OnnxModels(tmp_path))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"dim": 8}, "temporal.onnx: was trained with dim 8, but backbone.onnx"),
        ({"classes": ["a", "c"]}, "was trained with classes a, c, but backbone.onnx beside it"),
        ({"weights_hash": "f" * 64}, "weights_hash ffffffffffff, but backbone.onnx beside it was"),
    ],
)
def test_a_temporal_model_of_other_features_or_classes_is_named(tmp_path, changed, words):
    write_pair(tmp_path, temporal=changed)
    said = refusal(lambda: OnnxModels(tmp_path))
    assert words in said and said.endswith("Take both files from one export.")


def test_a_file_of_another_program_is_named(tmp_path):
    write_pair(tmp_path)
    write_graph(tmp_path / "temporal.onnx", {})
    assert "another program wrote it" in refusal(lambda: OnnxModels(tmp_path))
    write_pair(tmp_path, backbone={"format": FORMAT_VERSION + 1})
    assert "format 2, this program reads 1" in refusal(lambda: OnnxModels(tmp_path))


def test_files_of_an_earlier_training_are_refused_until_they_are_asked_for_by_name(workplace):
    models = Path("models")
    make_models()
    made = {f"{role}.onnx": file_hash(models / f"{role}.safetensors") for role in ROLES}
    backbone, temporal = ({"made_from": made[f"{role}.onnx"]} for role in ROLES)
    write_pair(models / "onnx", backbone, temporal)
    assert OnnxPredictor(models / "onnx", models).fingerprint
    make_models(seed=1)
    Path("v.mp4").touch()
    said = refusal(lambda: predict_videos(["v.mp4"], models, Path("out"), None))
    assert "models/onnx/backbone.onnx: was exported from another backbone.safetensors" in said
    assert "`python -m pipeline export --to onnx` again" in said
    assert OnnxPredictor(models / "onnx").fingerprint
    # A machine that only predicts has no models but these.
    for role in ROLES:
        (models / f"{role}.safetensors").unlink()
    assert OnnxPredictor(models / "onnx", models).fingerprint


ROLES = ("backbone", "temporal")
