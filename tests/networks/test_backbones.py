"""One contract for every backbone, tried on the smallest of each family."""

from dataclasses import replace

import pytest
import torch

from pipeline.errors import PipelineError
from pipeline.features.precision import check_precision
from pipeline.networks.backbones import FAMILIES, build_backbone, family_of, names, resize_px
from pipeline.networks.backbones.transform import Transform

SIDE = 64
# The first of a family is its smallest, but for ViT.
SMALLEST = {family: module.NAMES[0] for family, module in FAMILIES.items()} | {"vit": "vit_b_32"}


@pytest.fixture(scope="module", params=SMALLEST.values())
def backbone(request):
    torch.manual_seed(0)
    made = build_backbone(request.param)
    made.network.eval()
    return made


@pytest.fixture(scope="module")
def pixels():
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (3, 3, SIDE, SIDE), dtype=torch.uint8, generator=generator)


def through_blocks(backbone, images):
    for block in backbone.blocks():
        images = block(images)
    return images


@torch.inference_mode()
def test_dim_is_what_comes_out(backbone, pixels):
    features = backbone.forward_features(backbone.transform.normalise(pixels))
    assert features.shape == (3, backbone.dim)
    assert features.dtype == torch.float32


@torch.inference_mode()
def test_blocks_and_pool_are_the_network(backbone, pixels):
    images = backbone.transform.normalise(pixels)
    found = backbone.pool(through_blocks(backbone, images))
    assert torch.equal(found, backbone.network(images))


def test_blocks_and_pool_hold_every_parameter_once(backbone):
    parts = [p for block in backbone.blocks() for p in block.parameters()]
    parts += list(backbone.pool.parameters())
    assert len(parts) == len({id(p) for p in parts})
    assert {id(p) for p in parts} == {id(p) for p in backbone.network.parameters()}


def test_blocks_are_those_of_the_network_as_it_is_now(backbone):
    changed = build_backbone(backbone.name)
    torch.nn.SyncBatchNorm.convert_sync_batchnorm(changed.network)
    inside = {id(module) for module in changed.network.modules()}
    assert {id(m) for block in changed.blocks() for m in block.modules()} <= inside


@torch.inference_mode()
def test_an_image_does_not_see_the_others_of_its_batch(backbone, pixels):
    images = backbone.transform.normalise(pixels)
    order = [2, 0, 1]
    torch.testing.assert_close(
        backbone.network(images[order]), backbone.network(images)[order], rtol=1e-4, atol=1e-5
    )


@torch.inference_mode()
def test_the_folded_network_is_the_same_function(backbone, pixels):
    if backbone.fold is None:
        assert backbone.in_full is None, "int8 needs a folded network"
        return
    images = backbone.transform.normalise(pixels)
    expected = backbone.network(images)
    for folded in (
        backbone.fold(backbone.network, None)(images),
        backbone.fold(backbone.network, backbone.transform)(pixels),
    ):
        assert (folded - expected).norm() / expected.norm() < 1e-4


def test_what_int8_leaves_in_fp32_is_there(backbone):
    if backbone.in_full is None:
        with pytest.raises(PipelineError, match="cannot be quantised"):
            check_precision(backbone, "int8")
        return
    assert backbone.fold is not None
    folded = backbone.fold(backbone.network, None)
    for name in backbone.in_full:
        folded.get_submodule(name)


@torch.inference_mode()
def test_the_map_says_what_was_seen_where(backbone, pixels):
    if backbone.maps is None:
        assert backbone.name == "pixels", "the one family whose features are the image itself"
        return
    seen = backbone.maps(through_blocks(backbone, backbone.transform.normalise(pixels)))
    assert seen.ndim == 4
    assert len(seen) == 3


def test_the_classifier_is_gone_and_its_tensors_are_known(backbone):
    assert not any(
        key.startswith(backbone.classifier_keys) for key in backbone.network.state_dict()
    )


@pytest.mark.parametrize(
    "name",
    sorted({f.NAMES[k] for f in FAMILIES.values() for k in (0, -1) if f.published(f.NAMES[0])}),
)
def test_the_transform_is_that_of_the_first_published_weights(name):
    published = family_of(name).published(name)
    assert next(iter(published.values())).transform == build_on_meta(name).transform
    assert all(weights.url.startswith("https://") for weights in published.values())


@pytest.mark.parametrize(("name", "dim"), [("resnet18", 512), ("resnet50", 2048)])
def test_dim_needs_no_memory(name, dim):
    assert build_on_meta(name).dim == dim


def build_on_meta(name):
    # Weights without values need no first ones, which take most of the time.
    with pytest.MonkeyPatch.context() as patch, torch.device("meta"):
        for drawn in ("kaiming_uniform_", "kaiming_normal_", "normal_", "trunc_normal_"):
            patch.setattr(torch.nn.init, drawn, lambda tensor, *_, **__: tensor)
        return build_backbone(name)


def test_each_name_belongs_to_one_family():
    assert len(set(names())) == len(names())


def test_an_unknown_name_offers_the_nearest_and_lists_all():
    with pytest.raises(ValueError, match=r"Did you mean resnet.*Allowed: resnet18, .*net_b5"):
        build_backbone("resnet51")


def test_the_resize_is_that_of_the_weights_and_follows_the_crop():
    assert resize_px("resnet50", "IMAGENET1K_V1", None) == 256
    assert resize_px("resnet50", "IMAGENET1K_V2", None) == 232
    assert resize_px("resnet50", "random", 112) == 128
    assert resize_px("efficientnet_b5", "weights.pth", None) == 456


def test_a_network_of_blue_green_red_gets_its_channels_in_that_order():
    rgb = Transform(8, 8, "bilinear", (0.1, 0.2, 0.3), (1.0, 1.0, 1.0))
    image = torch.zeros(3, 8, 8, dtype=torch.uint8)
    image[0] = 255
    assert rgb.prepare(image)[:, 0, 0].tolist() == [255, 0, 0]
    assert replace(rgb, channels="bgr").prepare(image)[:, 0, 0].tolist() == [0, 0, 255]
