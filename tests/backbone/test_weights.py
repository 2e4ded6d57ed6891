import hashlib
from dataclasses import asdict

import pytest
import torch
import torchvision
from safetensors.torch import save_file

from pipeline.backbone import stage
from pipeline.backbone.weights import file_weights, published_weights, random_weights
from pipeline.checkpoint import load_checkpoint, save_checkpoint
from pipeline.errors import PipelineError
from pipeline.networks.backbones import build_backbone
from pipeline.networks.backbones.transform import Transform


@pytest.fixture(scope="module")
def trained():
    """A ResNet-18 as torchvision saves it, with its classifier."""
    torch.manual_seed(3)
    return torchvision.models.resnet18(weights=None).state_dict()


@pytest.mark.parametrize("prefix", ["", "module.", "backbone.", "model.", "module.backbone."])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_weights_come_back_from_files_with_the_usual_prefixes(tmp_path, trained, prefix, suffix):
    path = tmp_path / f"weights{suffix}"
    tensors = {prefix + key: value for key, value in trained.items()}
    if suffix == ".pth":
        torch.save({"state_dict": tensors, "epoch": 7}, path)
    else:
        save_file(tensors, path)
    loaded = file_weights("resnet18", path)
    build_backbone("resnet18").network.load_state_dict(loaded)
    assert torch.equal(loaded["layer4.1.conv2.weight"], trained["layer4.1.conv2.weight"])
    assert not any(key.startswith("fc.") for key in loaded)


def test_a_classifier_of_other_classes_is_ignored(tmp_path, trained):
    path = tmp_path / "weights.safetensors"
    seven = {"fc.weight": torch.zeros(7, 512), "fc.bias": torch.zeros(7)}
    save_file(dict(trained) | seven, path)
    file_weights("resnet18", path)


def test_our_own_weights_bring_their_transform_along(tmp_path, trained, monkeypatch):
    own = Transform(232, 224, "bilinear", (0.5, 0.4, 0.3), (0.2, 0.2, 0.2))
    tensors = {key: value for key, value in trained.items() if not key.startswith("fc.")}
    header = {"name": "resnet18", "transform": asdict(own)}
    save_checkpoint(tmp_path / "own.safetensors", tensors, header)
    save_file(tensors, tmp_path / "foreign.safetensors")
    monkeypatch.chdir(tmp_path)
    found = {}
    for name in ("own", "foreign"):
        text = f"{{name: resnet18, weights: {name}.safetensors, mode: frozen}}"
        (tmp_path / "params.yaml").write_text(f"seed: 1\nbackbone: {text}\nruntime: {{}}\n")
        stage.run()
        _, written = load_checkpoint(tmp_path / "models/backbone.safetensors")
        found[name] = written["transform"]["resize_px"]
    assert found == {"own": 232, "foreign": 256}


def test_weights_of_another_architecture_are_listed(tmp_path, trained):
    path = tmp_path / "weights.pth"
    torch.save(trained, path)
    with pytest.raises(PipelineError) as error:
        file_weights("resnet50", path)
    text = str(error.value)
    assert "these are not weights of resnet50" in text
    assert "missing" in text and "layer1.0.conv3.weight" in text
    assert "layer1.0.conv1.weight (64, 64, 3, 3) instead of (64, 64, 1, 1)" in text


def test_a_tensor_too_much_or_too_few_is_named(tmp_path, trained):
    tensors = {key: value for key, value in trained.items() if key != "conv1.weight"}
    save_file(tensors | {"attention.weight": torch.ones(1)}, tmp_path / "w.safetensors")
    with pytest.raises(PipelineError, match=r"missing \(1\): conv1.weight\n.*attention.weight"):
        file_weights("resnet18", tmp_path / "w.safetensors")


def test_pickled_objects_truncated_and_missing_files_are_refused(tmp_path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "module.pth")
    with pytest.raises(PipelineError, match="pickled objects are refused"):
        file_weights("resnet18", tmp_path / "module.pth")
    (tmp_path / "half.safetensors").write_bytes(b"\xff" * 30)
    with pytest.raises(PipelineError, match="not a whole safetensors"):
        file_weights("resnet18", tmp_path / "half.safetensors")
    with pytest.raises(PipelineError, match=r"none\.pth does not exist"):
        file_weights("resnet18", tmp_path / "none.pth")


def test_an_unknown_published_weight_lists_the_known_ones():
    with pytest.raises(PipelineError, match="IMAGENET1K_V1, IMAGENET1K_V2"):
        published_weights("resnet50", "IMAGENET21K")


def test_a_published_weight_is_loaded_with_its_hash_checked(monkeypatch, trained):
    entry = torchvision.models.ResNet18_Weights.IMAGENET1K_V1
    asked = {}

    def get_state_dict(self, *args, **options):
        asked.update(options)
        return trained

    monkeypatch.setattr(type(entry), "get_state_dict", get_state_dict)
    tensors, transform = published_weights("resnet18", "IMAGENET1K_V1")
    assert asked["check_hash"] is True
    assert torch.equal(tensors["conv1.weight"], trained["conv1.weight"])
    assert (transform.resize_px, transform.crop_px) == (256, 224)


def test_random_weights_depend_on_the_seed_alone():
    torch.manual_seed(1)
    one = random_weights("resnet18", 5)["conv1.weight"]
    torch.manual_seed(2)
    assert torch.equal(one, random_weights("resnet18", 5)["conv1.weight"])
    assert not torch.equal(one, random_weights("resnet18", 6)["conv1.weight"])


def test_the_stage_pins_weights_without_the_folder_they_came_from(tmp_path, monkeypatch, trained):
    (tmp_path / "private").mkdir()
    save_file(trained, tmp_path / "private" / "mine.safetensors")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(
        "seed: 1\nbackbone: {name: resnet18, weights: private/mine.safetensors, mode: frozen}\n"
    )
    stage.run()
    first = (tmp_path / "models/backbone.safetensors").read_bytes()
    _, header = load_checkpoint(tmp_path / "models/backbone.safetensors")
    assert header["weights"] == "mine.safetensors"
    assert header["dim"] == 512 and header["params"] == {}
    given = (tmp_path / "private" / "mine.safetensors").read_bytes()
    assert header["weights_sha256"] == hashlib.sha256(given).hexdigest()
    stage.run()
    assert (tmp_path / "models/backbone.safetensors").read_bytes() == first
