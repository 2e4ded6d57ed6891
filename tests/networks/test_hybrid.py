"""Several networks fused into one, against the networks alone and fusions written out by hand."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from pipeline.networks.backbones import build_backbone, efficientnet, hybrid, modules_of, resnet
from pipeline.networks.backbones.fusion import FUSIONS, WIDTH, Add, Bottleneck, CrossAttention, Gate
from pipeline.networks.backbones.transform import Transform
from pipeline.networks.cost import image_cost

NAMES = "resnet18+resnet34"
DIMS = {
    "concat": 1024,
    "bottleneck": WIDTH,
    "add": WIDTH,
    "gate": WIDTH,
    "cross_attention": 2 * WIDTH,
}


@pytest.fixture(scope="module", params=FUSIONS)
def fused(request):
    torch.manual_seed(0)
    made = build_backbone(f"{NAMES}:{request.param}")
    made.network.eval()
    return made


@pytest.fixture(scope="module")
def pixels():
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (3, 3, 64, 64), dtype=torch.uint8, generator=generator)


@pytest.fixture(scope="module")
def vectors():
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(3, dim, generator=generator) for dim in (20, 30)]


@torch.inference_mode()
def test_blocks_and_pool_are_the_network_and_dim_is_what_comes_out(fused, pixels):
    x = images = fused.transform.normalise(pixels)
    for block in fused.blocks():
        x = block(x)
    assert torch.equal(fused.pool(x), fused.network(images))
    assert fused.network(images).shape == (3, fused.dim)
    assert fused.dim == DIMS[fused.name.partition(":")[2]]


def test_blocks_and_pool_hold_every_parameter_once(fused):
    parts = [p for block in fused.blocks() for p in block.parameters()]
    parts += list(fused.pool.parameters())
    assert len(parts) == len({id(p) for p in parts})
    assert {id(p) for p in parts} == {id(p) for p in fused.network.parameters()}


@torch.inference_mode()
def test_an_image_does_not_see_the_others_of_its_batch(fused, pixels):
    images, order = fused.transform.normalise(pixels), [2, 0, 1]
    torch.testing.assert_close(
        fused.network(images[order]), fused.network(images)[order], rtol=1e-4, atol=1e-5
    )


def test_every_parameter_learns(fused, pixels):
    """A weight that no loss reaches would stop a training on several GPUs."""
    fused.network(fused.transform.normalise(pixels)).square().sum().backward()
    missing = [name for name, p in fused.network.named_parameters() if p.grad is None]
    assert missing == []


def test_synchronised_batch_norm_reaches_the_blocks_of_all_networks():
    made = build_backbone(NAMES)
    torch.nn.SyncBatchNorm.convert_sync_batchnorm(made.network)
    inside = {id(module) for module in made.network.modules()}
    for level in made.blocks():
        assert {id(m) for block in level.blocks for m in block.modules()} <= inside
        assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in level.modules())


@torch.inference_mode()
def test_concat_is_what_each_network_makes_of_its_own_normalisation(pixels):
    made = build_backbone(NAMES)
    parts = [build_backbone(name) for name in NAMES.split("+")]
    other = replace(parts[1].transform, mean=(0.5, 0.4, 0.3), std=(0.5, 0.6, 0.7))
    transforms = [parts[0].transform, other]
    tensors = {
        f"parts.{number}.{key}": tensor
        for number, part in enumerate(parts)
        for key, tensor in part.network.state_dict().items()
    }
    tensors["scale"], tensors["shift"] = hybrid.normalisations(transforms)
    made.network.load_state_dict(tensors)
    made.network.eval()
    expected = torch.cat(
        [
            part.network.eval()(transform.normalise(pixels))
            for part, transform in zip(parts, transforms, strict=True)
        ],
        dim=1,
    )
    found = made.network(made.transform.normalise(pixels))
    assert torch.equal(found[:, :512], expected[:, :512])  # the first network's, to the bit
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_blocks_are_aligned_from_the_top():
    """A ResNet has 8, an EfficientNet 9: the lowest block holds the EfficientNet's alone."""
    with torch.device("meta"):
        made = build_backbone("resnet18+efficientnet_b5")
    low, *levels = made.blocks()
    assert len(levels) == 8 and isinstance(low.blocks[0], torch.nn.Identity)
    parts = made.network.parts
    assert levels[-1].blocks[0] is parts[0].layer4
    assert levels[-1].blocks[1] is parts[1].features[8]
    assert levels[0].blocks[0] is parts[0].conv1


def test_three_networks_are_fused_like_two():
    with torch.device("meta"):
        for kind in FUSIONS:
            made = build_backbone(f"resnet18+resnet34+resnet18:{kind}")
            found = made.network(torch.empty(2, 3, 64, 64))
            wide = {"concat": 1536, "cross_attention": 3 * WIDTH}
            assert found.shape == (2, made.dim) == (2, wide.get(kind, WIDTH))


def test_a_hybrid_costs_what_its_networks_cost():
    with torch.device("meta"):
        both = image_cost(build_backbone(NAMES).network.eval(), 64)
        alone = [image_cost(build_backbone(n).network.eval(), 64) for n in NAMES.split("+")]
    assert both.parameters == sum(cost.parameters for cost in alone)
    assert both.flops_per_frame == sum(cost.flops_per_frame for cost in alone)


@torch.inference_mode()
def test_bottleneck_and_sum_are_their_formulas(vectors):
    reduced = Bottleneck((20, 30))
    weight, bias = reduced.reduce.weight, reduced.reduce.bias
    expected = (torch.cat(vectors, 1) @ weight.T + bias).clamp(min=0)
    torch.testing.assert_close(reduced(vectors), expected)
    added = Add((20, 30))
    expected = sum(x @ p.weight.T + p.bias for x, p in zip(vectors, added.project, strict=True))
    torch.testing.assert_close(added(vectors), expected)


@torch.inference_mode()
def test_the_gate_of_two_networks_is_a_sigmoid(vectors):
    gate = Gate((20, 30))
    one, other = (layer(x) for layer, x in zip(gate.project, vectors, strict=True))
    logits = gate.gate(torch.cat(vectors, dim=1))
    z = torch.sigmoid(logits[:, :WIDTH] - logits[:, WIDTH:])
    torch.testing.assert_close(gate(vectors), z * one + (1 - z) * other)


@torch.inference_mode()
def test_each_map_attends_to_the_other_as_written_out_by_hand(vectors):
    fusion = CrossAttention((20, 30), (5, 7))
    maps = [torch.randn(3, 5, 4, 6), torch.randn(3, 7, 2, 2)]
    tokens = [
        torch.einsum("bchw,dc->bhwd", seen, layer.weight).flatten(1, 2) + layer.bias
        for seen, layer in zip(maps, fusion.tokens, strict=True)
    ]
    expected = []
    for number, attend in enumerate(fusion.attend):
        wq, wk, wv = attend.in_proj_weight.chunk(3)
        bq, bk, bv = attend.in_proj_bias.chunk(3)
        mine, other = tokens[number], tokens[1 - number]
        q, k, v = (
            (x @ w.T + b).unflatten(2, (8, WIDTH // 8)).transpose(1, 2)
            for x, w, b in ((mine, wq, bq), (other, wk, bk), (other, wv, bv))
        )
        weights = (q @ k.transpose(2, 3) / (WIDTH // 8) ** 0.5).softmax(dim=-1)
        found = attend.out_proj((weights @ v).transpose(1, 2).flatten(2))
        expected.append(fusion.project[number](vectors[number]) + found.mean(dim=1))
    torch.testing.assert_close(fusion(vectors, maps), torch.cat(expected, dim=1))


def test_attention_is_fed_the_channels_of_the_map_and_not_of_the_vector(monkeypatch):
    """They differ where a pool ends in a linear layer."""

    def narrowed(name):
        part = resnet.build(name)
        return replace(part, dim=9, pool=torch.nn.Sequential(part.pool, torch.nn.Linear(512, 9)))

    made = hybrid.build("resnet18+resnet34:cross_attention", narrowed)
    assert made.network.eval()(torch.rand(1, 3, 64, 64)).shape == (1, 2 * WIDTH)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("a+b", (["a", "b"], "concat")),
        ("a+b:concat", (["a", "b"], "concat")),
        ("a+b+c:add", (["a", "b", "c"], "add")),
        ("a+timm/hub:user/b", (["a", "timm/hub:user/b"], "concat")),
        ("a+timm/hub:user/b:gate", (["a", "timm/hub:user/b"], "gate")),
    ],
)
def test_a_name_says_networks_and_fusion(name, parts):
    assert hybrid.is_hybrid(name)
    assert hybrid.parts_of(name) == parts


def test_its_code_is_that_of_the_families_and_of_the_fusion():
    assert modules_of("resnet50") == (resnet,)
    assert set(modules_of("resnet50+efficientnet_b5:gate")) == {hybrid, resnet, efficientnet}
    assert set(modules_of("resnet50+resnet18")) == {hybrid, resnet}


def test_what_cannot_be_fused_is_named():
    with pytest.raises(ValueError, match=r"found 'resnet19'\. Did you mean resnet"):
        build_backbone("resnet18+resnet19")
    with pytest.raises(ValueError, match="pixels has no map of the image"):
        build_backbone("resnet18+pixels:cross_attention")

    def of_clips(name):
        return replace(resnet.build(name), clip_frames=4)

    with pytest.raises(ValueError, match="resnet18 reads clips"):
        hybrid.build("resnet18+resnet34", of_clips)
    rgb = Transform(8, 8, "bilinear", (0, 0, 0), (1, 1, 1))
    with pytest.raises(ValueError, match="some were trained on RGB images and some on BGR"):
        hybrid.normalisations([rgb, replace(rgb, channels="bgr")])


@torch.inference_mode()
def test_the_state_dict_holds_each_networks_tensors_under_its_number(pixels):
    torch.manual_seed(0)
    made = build_backbone(NAMES)
    alone = build_backbone("resnet34").network
    prefix = "parts.1."
    own = {
        key.removeprefix(prefix): tensor
        for key, tensor in made.network.state_dict().items()
        if key.startswith(prefix)
    }
    alone.load_state_dict(own)
    images = made.transform.normalise(pixels)
    expected = alone.eval()(images)
    found = made.network.eval()(images)[:, 512:]
    assert functional.cosine_similarity(found, expected).min() > 0.999999
