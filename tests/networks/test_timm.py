"""timm's own models say what those that are cut into blocks must give."""

import sys

import pytest
import torch
import torchvision

from pipeline.errors import PipelineError
from pipeline.networks.backbones import build_backbone, family_of, libraries_of
from pipeline.networks.backbones.stretched import Stretched
from pipeline.networks.backbones.timm_models import NAMES, _made, _transform

pytest.importorskip("timm")

CUT = [name for name in NAMES if name not in ("timm/vit_base_patch14_dinov2",)]
OTHERS = ["timm/resnet18", "timm/vit_small_patch16_336_dinov3_noreg", "timm/caformer_s18_relu"]


@pytest.fixture(scope="module", params=[*CUT, *OTHERS])
def backbone(request):
    torch.manual_seed(0)
    made = build_backbone(request.param)
    made.network.eval()
    return made


def images(count=2, side=112):
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(0))


def test_blocks_and_pool_are_the_network_and_hold_every_parameter_once(backbone):
    with torch.inference_mode():
        seen = images()
        for block in backbone.blocks():
            seen = block(seen)
        features = backbone.network(images())
        assert torch.equal(backbone.pool(seen), features)
        assert features.shape == (2, backbone.dim)
        last = backbone.maps(seen)
    assert last.shape[:2] == (2, backbone.dim) and last.ndim == 4
    parts = [p for block in backbone.blocks() for p in block.parameters()]
    parts += list(backbone.pool.parameters())
    assert len(parts) == len({id(p) for p in parts})
    assert {id(p) for p in parts} == {id(p) for p in backbone.network.parameters()}
    assert len(backbone.blocks()) > 4


def test_the_features_are_what_timm_gives_its_classifier(backbone):
    torch.manual_seed(1)
    theirs = _made(backbone.name).eval()
    tensors = backbone.translate(dict(theirs.state_dict()))
    assert tensors.keys() == backbone.network.state_dict().keys()
    again = backbone.translate(tensors)
    assert again.keys() == tensors.keys()
    before = backbone.network.state_dict()
    before = {name: tensor.clone() for name, tensor in before.items()}
    backbone.network.load_state_dict(tensors)
    with torch.inference_mode():
        expected = theirs.forward_head(theirs.forward_features(images()), pre_logits=True)
        assert torch.equal(backbone.network(images()), expected)
    backbone.network.load_state_dict(before)


def test_gradients_reach_every_layer_of_eva_too():
    backbone = build_backbone("timm/eva02_tiny_patch14_224")
    backbone.network(images(1)).sum().backward()
    without = [n for n, p in backbone.network.named_parameters() if p.grad is None]
    assert not without


@pytest.mark.parametrize(("timm_name", "name"), [("resnet18", "resnet18")])
@torch.inference_mode()
def test_the_same_tensors_give_the_same_features_as_torchvision(timm_name, name):
    torch.manual_seed(1)
    tensors = torchvision.models.get_model(name, weights=None).state_dict()
    ours, theirs = build_backbone(f"timm/{timm_name}"), build_backbone(name)
    for made in (ours, theirs):
        known = made.translate(dict(tensors))
        made.network.load_state_dict({key: known[key] for key in made.network.state_dict()})
    torch.testing.assert_close(
        ours.network.eval()(images()), theirs.network.eval()(images()), rtol=1e-4, atol=1e-5
    )
    folded = ours.fold(ours.network, None)(images())
    torch.testing.assert_close(folded, theirs.network(images()), rtol=1e-4, atol=1e-4)


@torch.inference_mode()
def test_a_vit_of_torchvision_has_a_twin_in_timm():
    torch.manual_seed(1)
    theirs = build_backbone("vit_b_32")
    ours = build_backbone("timm/vit_base_patch32_224")
    rules = (
        ("embedding.class_token", "cls_token"),
        ("embedding.pos_embedding", "pos_embed"),
        ("embedding.conv_proj", "patch_embed.proj"),
        ("layers.encoder_layer_", "blocks."),
        ("self_attention.in_proj_", "attn.qkv."),
        ("self_attention.out_proj", "attn.proj"),
        ("ln_1", "norm1"),
        ("ln_2", "norm2"),
        ("mlp.0", "mlp.fc1"),
        ("mlp.3", "mlp.fc2"),
    )
    tensors = {}
    for name, tensor in theirs.network.state_dict().items():
        for old, new in rules:
            name = name.replace(old, new)
        tensors[name] = tensor
    ours.network.load_state_dict(ours.translate(tensors))
    batch = images(2, 224)
    torch.testing.assert_close(
        ours.network.eval()(batch), theirs.network.eval()(batch), rtol=1e-4, atol=1e-4
    )


@torch.inference_mode()
def test_dinov3_of_surgenet_is_that_of_transformers():
    transformers = pytest.importorskip("transformers")
    config = transformers.DINOv3ViTConfig(
        hidden_size=384,
        num_hidden_layers=12,
        num_attention_heads=6,
        intermediate_size=1536,
        image_size=336,
        num_register_tokens=0,
        key_bias=True,
        layer_norm_eps=1e-6,
        pos_embed_rescale=None,
    )
    torch.manual_seed(1)
    theirs = transformers.DINOv3ViTModel(config).eval()
    for parameter in theirs.parameters():
        parameter.copy_(0.1 * torch.randn(parameter.shape))
    ours = build_backbone("timm/vit_small_patch16_336_dinov3_noreg")
    theirs_now = theirs.state_dict()
    tensors = {"cls_token": theirs_now["embeddings.cls_token"]}
    for end in ("weight", "bias"):
        patches = theirs_now[f"embeddings.patch_embeddings.{end}"]
        tensors |= {f"patch_embed.proj.{end}": patches, f"norm.{end}": theirs_now[f"norm.{end}"]}
    for row in range(12):
        layer = {
            name.removeprefix(f"model.layer.{row}."): tensor
            for name, tensor in theirs_now.items()
            if name.startswith(f"model.layer.{row}.")
        }
        found = {
            "gamma_1": layer["layer_scale1.lambda1"],
            "gamma_2": layer["layer_scale2.lambda1"],
        }
        for end in ("weight", "bias"):
            parts = [layer[f"attention.{part}_proj.{end}"] for part in "qkv"]
            found[f"attn.qkv.{end}"] = torch.cat(parts)
            found[f"attn.proj.{end}"] = layer[f"attention.o_proj.{end}"]
            found[f"mlp.fc1.{end}"] = layer[f"mlp.up_proj.{end}"]
            found[f"mlp.fc2.{end}"] = layer[f"mlp.down_proj.{end}"]
            found |= {f"norm{k}.{end}": layer[f"norm{k}.{end}"] for k in (1, 2)}
        tensors |= {f"blocks.{row}.{name}": tensor for name, tensor in found.items()}
    ours.network.load_state_dict(ours.translate(tensors))
    batch = images(2, 112)
    torch.testing.assert_close(
        ours.network.eval()(batch), theirs(batch).pooler_output, rtol=1e-3, atol=1e-3
    )


def test_other_models_are_one_block():
    backbone = build_backbone("timm/mobilenetv3_small_050")
    assert len(backbone.blocks()) == 1 and backbone.maps is None
    backbone.network.eval()
    assert backbone.network(images(1)).shape == (1, backbone.dim)


def test_dinov3_gives_the_class_token_and_takes_other_sizes():
    backbone = build_backbone("timm/vit_small_patch16_dinov3")
    assert backbone.network.top._pool.args[0].global_pool == "token"
    with torch.inference_mode():
        assert backbone.network.eval()(images(1, 96)).shape == (1, 384)


def test_images_are_prepared_as_timm_does_it():
    found = build_backbone("timm/vit_small_patch16_224").transform
    assert (found.resize_px, found.crop_px, found.interpolation) == (248, 224, "bicubic")
    assert found.mean == (0.5, 0.5, 0.5)
    squashed = {"input_size": (3, 384, 384), "crop_pct": 1.0, "crop_mode": "squash"}
    found = _transform("timm/x", squashed | {"interpolation": "bicubic"})
    assert isinstance(found, Stretched) and (found.resize_px, found.width_px) == (384, 384)
    with pytest.raises(ValueError, match=r"crop_mode border.*Supported: center, squash"):
        _transform("timm/x", squashed | {"crop_mode": "border"})


def test_weights_are_known_by_timms_tags():
    published = family_of("timm/x").published("timm/caformer_s18")
    assert next(iter(published)) == "sail_in1k" and published["DEFAULT"] == published["sail_in1k"]
    assert published["sail_in1k_384"].transform.crop_px == 384
    assert published["sail_in1k"].url == (
        "https://huggingface.co/timm/caformer_s18.sail_in1k/resolve/main/model.safetensors"
    )
    assert libraries_of("timm/caformer_s18") == ("timm",)
    assert libraries_of("resnet50") == ()


def test_an_unknown_name_offers_the_nearest_and_a_tag_says_where_it_belongs():
    with pytest.raises(ValueError, match=r"timm .* does not have. Did you mean .*timm/convnextv2_"):
        build_backbone("timm/convnextv2_tinny")
    with pytest.raises(ValueError, match=r"Write timm/caformer_s18, and sail_in1k as back"):
        build_backbone("timm/caformer_s18.sail_in1k")


def test_without_timm_it_says_how_to_install_it(monkeypatch):
    for module in [name for name in sys.modules if name.partition(".")[0] == "timm"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(PipelineError, match=r"pip install 'surgical-phase-pipeline\[timm\]'"):
        build_backbone("timm/resnet18")


def test_nothing_of_timm_is_fetched_without_network(monkeypatch):
    from pipeline.backbone.weights import published_weights

    def no_network(*_args, **_options):
        raise RuntimeError("no network here")

    monkeypatch.setattr("timm.create_model", no_network)
    with pytest.raises(
        PipelineError, match=r"fetched from https://huggingface.co/timm/resnet18.*no network here"
    ):
        published_weights("timm/resnet18", "a1_in1k")
