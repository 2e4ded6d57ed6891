"""The parameters that a report shows."""

from pipeline.evaluate.parameters import digest, flat_parameters, shown_parameters
from pipeline.evaluate.params import EvaluateParams


def shown(backbone, temporal):
    return shown_parameters(backbone, temporal, EvaluateParams(), "csv", {"scheme": "column"})


def test_numbers_of_a_kind_are_named_as_in_params_yaml():
    recurrent = shown({}, {"kind": "rnn", "model": {"rnn": "gru", "hidden": 8}})
    assert recurrent["model.kind"] == "rnn" and recurrent["model.hidden"] == "8"
    other = shown({}, {"kind": "tecno", "model": {"stages": 2}})
    assert other["model.kind"] == "tecno" and other["model.tecno.stages"] == "2"


def test_the_backbones_header_speaks_for_the_backbone_and_else_the_temporal_models():
    temporal = {"backbone": {"name": "resnet50"}, "seed": 3}
    assert shown({"params": {"name": "resnet18"}}, temporal)["backbone.name"] == "resnet18"
    assert shown({}, temporal)["backbone.name"] == "resnet50"
    assert "backbone" not in " ".join(shown({}, {"backbone": "resnet50"}))


def test_equal_values_have_equal_texts_and_no_path_is_shown():
    one = {"train": {"lr": 1e-5, "clip": None, "on": True, "fps": "30000/1001", "epochs": 10}}
    other = {"train": {"lr": "1e-05", "clip": None, "on": True, "fps": "30000/1001", "epochs": 1e1}}
    assert digest(flat_parameters(one)) == digest(flat_parameters(other))
    assert flat_parameters(one)["train.fps"] == "30000/1001"
    assert flat_parameters(one)["train.on"] == "true"
    local = {"a": "/home/me/w.pth", "b": "C:\\me\\w.pth", "c": "ours/w.pth", "d": ["x", 2]}
    assert list(flat_parameters(local).values()) == ["w.pth", "w.pth", "w.pth", "x, 2"]
    hidden = {"data": {"root": "/x", "layout": "csv"}, "runtime": {"batch": 3}}
    assert flat_parameters(hidden) == {"data.layout": "csv"}
