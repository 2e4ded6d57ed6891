import json
import sys

import pytest
import torch

from pipeline.backbone.weights import file_weights, initial_weights, published_weights
from pipeline.errors import PipelineError
from pipeline.networks.backbones import build_backbone
from pipeline.networks.backbones.stretched import Stretched
from pipeline.networks.backbones.transform import Transform

transformers = pytest.importorskip("transformers")

TOKENS = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "image_size": 64,
    "patch_size": 16,
}
SQUARE = {"size": {"height": 64, "width": 64}, "image_processor_type": "ViTImageProcessor"}
CASES = {
    "dinov2": (
        lambda: transformers.Dinov2Config(**TOKENS),
        {
            "image_processor_type": "BitImageProcessor",
            "size": {"shortest_edge": 80},
            "crop_size": {"height": 64, "width": 64},
            "resample": 3,
        },
        Transform(80, 64, "bicubic", (0.48, 0.46, 0.41), (0.27, 0.26, 0.28)),
    ),
    "dinov3": (
        lambda: transformers.DINOv3ViTConfig(**TOKENS, num_register_tokens=4),
        SQUARE | {"image_processor_type": "DINOv3ViTImageProcessor", "resample": 2},
        Stretched(64, 64, "bilinear", (0.48, 0.46, 0.41), (0.27, 0.26, 0.28), width_px=64),
    ),
    "vit": (
        lambda: transformers.ViTConfig(**TOKENS),
        SQUARE,
        Stretched(64, 64, "bilinear", (0.48, 0.46, 0.41), (0.27, 0.26, 0.28), width_px=64),
    ),
    "convnextv2": (
        lambda: transformers.ConvNextV2Config(hidden_sizes=[8, 8, 16, 32], depths=[1, 1, 1, 1]),
        {
            "image_processor_type": "ConvNextImageProcessor",
            "size": {"shortest_edge": 64},
            "crop_pct": 0.875,
            "resample": 3,
        },
        Transform(73, 64, "bicubic", (0.48, 0.46, 0.41), (0.27, 0.26, 0.28)),
    ),
    "swin": (
        lambda: transformers.SwinConfig(
            embed_dim=16, depths=[1, 1], num_heads=[1, 2], window_size=4, image_size=64
        ),
        SQUARE,
        Stretched(64, 64, "bilinear", (0.48, 0.46, 0.41), (0.27, 0.26, 0.28), width_px=64),
    ),
}


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def saved(folder, case):
    config, processor, _ = CASES[case]
    torch.manual_seed(4)
    model = transformers.AutoModel.from_config(config()).eval()
    model.save_pretrained(folder)
    processor = processor | {"image_mean": [0.48, 0.46, 0.41], "image_std": [0.27, 0.26, 0.28]}
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    return model


@pytest.mark.parametrize("case", CASES)
@torch.inference_mode()
def test_a_folder_gives_the_pooled_output_and_its_transform(tmp_path, case):
    model = saved(tmp_path, case)
    name = f"hf/{tmp_path}"
    backbone = build_backbone(name)
    tensors, transform = published_weights(name, "DEFAULT")
    backbone.network.load_state_dict(tensors)
    batch = torch.randn(2, 3, 64, 64)
    found = backbone.network.eval()(batch)
    expected = model(pixel_values=batch)
    pooled = expected.last_hidden_state[:, 0] if case == "vit" else expected.pooler_output
    torch.testing.assert_close(found, pooled)
    assert found.shape == (2, backbone.dim)
    assert transform == backbone.transform == CASES[case][2]
    (block,) = backbone.blocks()
    assert torch.equal(backbone.pool(block(batch)), found)
    assert {id(p) for p in block.parameters()} == {id(p) for p in backbone.network.parameters()}
    if case in ("vit", "dinov2", "dinov3", "swin"):
        assert block.made.config._attn_implementation == "sdpa"


def test_a_file_saved_from_a_classifier_fits(tmp_path):
    config = CASES["dinov2"][0]()
    saved(tmp_path, "dinov2")
    classifier = transformers.Dinov2ForImageClassification(config)
    torch.save(classifier.state_dict(), tmp_path / "classifier.pth")
    tensors = file_weights(f"hf/{tmp_path}", tmp_path / "classifier.pth")
    assert len(tensors) == len(build_backbone(f"hf/{tmp_path}").network.state_dict())


def test_weights_that_lack_tensors_are_refused_and_not_drawn_at_random(tmp_path):
    from safetensors.torch import load_file, save_file

    saved(tmp_path, "dinov2")
    tensors = load_file(tmp_path / "model.safetensors")
    del tensors["layernorm.weight"]
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(PipelineError, match=r"missing \(1\): whole.made.layernorm.weight"):
        published_weights(f"hf/{tmp_path}", "DEFAULT")


def test_pickled_weights_are_not_read(tmp_path):
    model = saved(tmp_path, "dinov2")
    (tmp_path / "model.safetensors").unlink()
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(PipelineError, match="could not be fetched from"):
        published_weights(f"hf/{tmp_path}", "DEFAULT")


def test_random_weights_need_no_file_of_weights(tmp_path):
    saved(tmp_path, "vit")
    (tmp_path / "model.safetensors").unlink()
    assert initial_weights(f"hf/{tmp_path}", "random", 1).dim == 32


def test_without_network_it_says_what_to_put_where():
    with pytest.raises(PipelineError, match=r"put config.json, preproc.*hf/<folder>"):
        build_backbone("hf/nobody/nothing")


def test_code_of_a_repository_is_never_run(tmp_path):
    saved(tmp_path, "vit")
    config = json.loads((tmp_path / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoConfig": "own.Config"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "own.py").write_text("raise SystemExit('run')")
    with pytest.raises(PipelineError, match="configuration cannot be had"):
        build_backbone(f"hf/{tmp_path}")


def test_a_model_of_words_is_refused(tmp_path):
    config = transformers.BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1)
    config.save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(SQUARE))
    with pytest.raises(ValueError, match="BertModel, which does not turn images into features"):
        build_backbone(f"hf/{tmp_path}")


def test_without_transformers_it_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(PipelineError, match=r"pip install 'surgical-phase-pipeline\[hf\]'"):
        build_backbone("hf/facebook/dinov2-small")
