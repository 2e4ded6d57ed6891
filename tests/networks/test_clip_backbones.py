"""One contract for every backbone that reads clips, tried on the smallest of each family."""

import copy

import pytest
import torch
from small_transformers import SIDE, small_transformers
from torch import nn
from torch.utils.checkpoint import checkpoint

from pipeline.errors import PipelineError
from pipeline.networks.backbones import CLIP_FAMILIES, build_backbone, clip_family
from pipeline.networks.backbones.clip_input import OfSize

# Frames and pixels of the clips that each is tried with.
SMALLEST = {
    "r2plus1d_18": (4, 32),
    "s3d": (5, 64),
    "mvit_v2_s": (2, 224),
    "swin3d_t": (4, 64),
    "x3d_xs": (4, 64),
    "slowfast_r50": (8, 48),
    "r2plus1d_50": (4, 32),
    "videomae_base": (4, 48),
    "vivit_b": (4, 48),
    "timesformer_base": (3, 48),
    "vjepa2_large": (4, 48),
}
TOKENS = ("videomae_base", "vivit_b", "timesformer_base", "vjepa2_large")
FOLDED = ("r3d_18", "s3d", "x3d_xs", "slowfast_r50", "r2plus1d_50")
COMPILED = ("r3d_18", "videomae_base", "vivit_b", "timesformer_base", "vjepa2_large")


def built(name, frames=None):
    if name in TOKENS:
        pytest.importorskip("transformers", reason="the extra hf is not installed")
    torch.manual_seed(0)
    with small_transformers():
        backbone = build_backbone(f"{name}@{frames or SMALLEST.get(name, (4, 48))[0]}")
    backbone.network.eval()
    with torch.no_grad():
        for module in backbone.network.modules():
            # Some start as shortcuts, or let next to nothing through, or know no statistics.
            if name == "s3d" and isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight)
            if isinstance(module, nn.BatchNorm3d):
                module.weight.uniform_(0.5, 1.0)
                module.bias.normal_(0, 0.1)
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
    return backbone


@pytest.fixture(scope="module", params=SMALLEST)
def backbone(request):
    return built(request.param)


@pytest.fixture(scope="module")
def clips(backbone):
    frames, side = SMALLEST[backbone.name.partition("@")[0]]
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, frames, 3, side, side, generator=generator)


@pytest.fixture(scope="module")
@torch.inference_mode()
def features(backbone, clips):
    return backbone.forward_features(clips)


def through_blocks(backbone, clips):
    for block in backbone.blocks():
        clips = block(clips)
    return clips


def relative(found, expected):
    return float((found - expected).abs().max() / expected.abs().max())


def test_each_family_is_tried():
    tried = {id(clip_family(name)) for name in SMALLEST}
    assert tried == {id(family) for family in CLIP_FAMILIES.values()}


def test_dim_is_what_comes_out(backbone, clips, features):
    assert features.shape == (2, backbone.dim)
    assert features.dtype == torch.float32
    assert backbone.clip_frames == clips.shape[1]


@torch.inference_mode()
def test_blocks_and_pool_are_the_network(backbone, clips, features):
    assert torch.equal(backbone.pool(through_blocks(backbone, clips)), features)


def test_blocks_and_pool_hold_every_parameter_once(backbone):
    parts = [p for block in backbone.blocks() for p in block.parameters()]
    parts += list(backbone.pool.parameters())
    assert len(parts) == len({id(p) for p in parts})
    assert {id(p) for p in parts} == {id(p) for p in backbone.network.parameters()}


@torch.inference_mode()
def test_a_clip_does_not_see_the_others_of_its_batch(backbone, clips, features):
    alone = backbone.network(clips[1:])
    assert relative(alone, features[1:]) < 1e-4


@torch.inference_mode()
def test_the_same_clips_give_the_same_features(backbone, clips, features):
    assert torch.equal(backbone.network(clips), features)


@torch.inference_mode()
def test_the_order_of_frames_matters(backbone, clips, features):
    assert relative(backbone.network(clips.flip(1)), features) > 1e-3


@torch.inference_mode()
def test_a_map_says_when_and_where(backbone, clips):
    last = through_blocks(backbone, clips)
    found = backbone.maps(last)
    assert found.dim() == 5
    assert len(found) == 2


def test_gradients_reach_every_weight_and_every_frame(backbone, clips):
    frames = clips.clone().requires_grad_()
    backbone.network.zero_grad()
    backbone.network(frames).square().sum().backward()
    assert all(
        p.grad is not None and p.grad.isfinite().all() for p in backbone.network.parameters()
    )
    assert (frames.grad.abs().amax(dim=(0, 2, 3, 4)) > 0).all()
    backbone.network.zero_grad()


@pytest.mark.parametrize("name", ["slowfast_r50", "timesformer_base"])
def test_blocks_can_be_computed_again_for_their_gradients(name):
    """Also where they pass pairs of maps, or tokens out of a tuple."""
    backbone = built(name)
    frames, side = SMALLEST[name]
    clips = torch.randn(1, frames, 3, side, side)
    backbone.network(clips).square().sum().backward()
    expected = [parameter.grad.clone() for parameter in backbone.network.parameters()]
    backbone.network.zero_grad()
    x = clips
    for block in backbone.blocks():
        x = checkpoint(block, x, use_reentrant=False)
    backbone.pool(x).square().sum().backward()
    for parameter, gradient in zip(backbone.network.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)


@torch.inference_mode()
def test_bf16_gives_nearly_the_same(backbone, clips, features):
    network = copy.deepcopy(backbone.network).to(torch.bfloat16)
    found = network(clips[:1].to(torch.bfloat16))
    assert found.dtype == torch.bfloat16
    assert nn.functional.cosine_similarity(found.float(), features[:1]).min() > 0.99


@pytest.mark.parametrize("name", COMPILED)
@torch.inference_mode()
def test_it_can_be_compiled_whole(name):
    """All can be, but the others take long."""
    backbone = built(name)
    frames, side = SMALLEST.get(name, (4, 48))
    clips = torch.randn(1, frames, 3, side, side)
    torch.compiler.reset()
    compiled = torch.compile(backbone.network, backend="eager", fullgraph=True)
    assert relative(compiled(clips), backbone.network(clips)) < 1e-5


@pytest.mark.parametrize("name", FOLDED)
@torch.inference_mode()
def test_folding_changes_nothing(name):
    backbone = built(name)
    frames, side = SMALLEST.get(name, (4, 48))
    pixels = torch.randint(0, 256, (1, frames, 3, side, side), dtype=torch.uint8)
    normalised = (pixels / 255 - torch.tensor(backbone.transform.mean).view(3, 1, 1)) / (
        torch.tensor(backbone.transform.std).view(3, 1, 1)
    )
    expected = backbone.network(normalised)
    folded = backbone.fold(backbone.network, None)
    assert not any(isinstance(m, nn.BatchNorm3d) for m in folded.modules())
    assert relative(folded(normalised), expected) < 1e-4
    assert relative(backbone.fold(backbone.network, backbone.transform)(pixels), expected) < 1e-4


@pytest.mark.parametrize("name", TOKENS)
@torch.inference_mode()
def test_tokens_of_a_map_are_where_their_patches_are(name):
    """A changed corner of the last frame changes the last corner of the map and nothing else."""
    backbone = built(name)
    first = backbone.blocks()[0]
    clips = torch.randn(1, SMALLEST[name][0], 3, SIDE, SIDE)
    changed = clips.clone()
    changed[:, -1, :, -16:, :16] += 1
    difference = (backbone.maps(first(changed)) - backbone.maps(first(clips))).abs().amax(dim=1)
    moved = difference[0] > 1e-6
    assert moved[-1, -1, 0]
    assert moved.sum() == 1


@pytest.mark.parametrize(
    ("name", "frames"),
    [
        *((name, 0) for name in SMALLEST),
        ("s3d", 4),
        ("slowfast_r50", 4),
        ("slowfast_r50", 30),
        ("mvit_v2_s", 15),
        ("mvit_v1_b", 15),
        ("videomae_base", 15),
        ("vivit_b", 31),
        ("vjepa2_large", 63),
    ],
)
def test_lengths_that_it_cannot_read_are_refused(name, frames):
    with pytest.raises(ValueError, match=f"found {frames}. Allowed for {name}: "):
        build_backbone(f"{name}@{frames}")


def test_transformers_refuse_clips_of_another_size():
    size = OfSize(16, 224)
    assert size(torch.zeros(1, 16, 3, 224, 224)).shape == (1, 16, 3, 224, 224)
    with pytest.raises(PipelineError, match=r"found \(16, 3, 112, 112\). Set features.crop to 224"):
        size(torch.zeros(1, 16, 3, 112, 112))


@pytest.mark.parametrize("name", [n for family in CLIP_FAMILIES.values() for n in family.NAMES])
def test_each_network_reads_its_published_clips(name, monkeypatch):
    if "transformers" in getattr(clip_family(name), "LIBRARIES", ()):
        pytest.importorskip("transformers", reason="the extra hf is not installed")
    published = clip_family(name).clip_size(name)
    # Weights without values need no first ones, which take most of the time.
    for drawn in ("kaiming_uniform_", "kaiming_normal_", "normal_", "trunc_normal_", "uniform_"):
        monkeypatch.setattr(nn.init, drawn, lambda tensor, *_, **__: tensor)
    with torch.device("meta"):
        backbone = build_backbone(f"{name}@{published.frames}")
        side = backbone.transform.crop_px
        clip = torch.empty(1, published.frames, 3, side, side)
        assert backbone.network.eval()(clip).shape == (1, backbone.dim)
    assert 0 < published.stride_s < 2
    assert backbone.transform.resize_px >= side
