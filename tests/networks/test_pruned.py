"""ResNets that lost channels: their name says their widths, and nothing else changed."""

import pytest
import torch

from pipeline.compress.channels import without_channels
from pipeline.networks.backbones import build_backbone, family_of, modules_of
from pipeline.networks.backbones.pruned import inner_layers, kept, parts_of, pruned_name
from pipeline.networks.cost import image_cost

SIDE = 32


@pytest.fixture(scope="module", params=["resnet18", "resnet50"])
def whole(request):
    """A network whose batch norm is no identity, as after training."""
    torch.manual_seed(0)
    backbone = build_backbone(request.param)
    for module in backbone.network.eval().modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, 0, 0.1)
            torch.nn.init.normal_(module.running_mean, 0, 0.1)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
    return backbone


def images(count=2):
    return torch.randn(count, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))


def loaded(original, percent, tensors):
    made = build_backbone(pruned_name(original, percent))
    made.network.load_state_dict(without_channels(original, percent, tensors))
    made.network.eval()
    return made


@torch.inference_mode()
def test_channels_that_say_nothing_go_without_a_trace(whole):
    """Where the share that goes is dead, the smaller network is the same function."""
    tensors = {name: tensor.clone() for name, tensor in whole.network.state_dict().items()}
    generator = torch.Generator().manual_seed(2)
    for _, norm, _ in inner_layers(whole.network):
        width = len(tensors[f"{norm}.weight"])
        dead = torch.randperm(width, generator=generator)[: width - kept(width, 30)]
        tensors[f"{norm}.weight"][dead] = 0
        tensors[f"{norm}.bias"][dead] = 0
    expected = build_backbone(whole.name)
    expected.network.load_state_dict(tensors)
    expected.network.eval()
    smaller = loaded(whole.name, 30, tensors)
    torch.testing.assert_close(
        smaller.network(images()), expected.network(images()), rtol=1e-4, atol=1e-4
    )


@torch.inference_mode()
def test_features_keep_their_length_and_the_rest_shrinks(whole):
    smaller = loaded(whole.name, 50, whole.network.state_dict())
    assert smaller.dim == whole.dim
    assert smaller.network(images()).shape == (2, whole.dim)
    before, after = image_cost(whole.network, SIDE), image_cost(smaller.network, SIDE)
    # Half of the channels: each convolution keeps a half of its operations, one between two pruned
    # layers a quarter; the stem and the shortcuts keep all.
    assert 0.25 < after.flops_per_frame / before.flops_per_frame < 0.65
    assert 0.25 < after.parameters / before.parameters < 0.65


def test_operations_are_those_of_the_widths(whole):
    """Counted by hand: rows and columns of each map times the weights that meet it."""
    smaller = loaded(whole.name, 30, whole.network.state_dict())
    counted = 0

    def count(module, inputs, output):
        nonlocal counted
        counted += 2 * module.weight.numel() * output.shape[2] * output.shape[3]

    for module in smaller.network.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(count)
    with torch.inference_mode():
        smaller.network(images(1))
    by_hand = counted  # the hooks go on counting
    assert image_cost(smaller.network, SIDE).flops_per_frame == by_hand


@torch.inference_mode()
def test_the_folded_network_and_the_blocks_are_the_same_function(whole):
    smaller = loaded(whole.name, 30, whole.network.state_dict())
    expected = smaller.network(images())
    folded = smaller.fold(smaller.network, None)(images())
    torch.testing.assert_close(folded, expected, rtol=1e-3, atol=1e-3)
    x = images()
    for block in smaller.blocks():
        x = block(x)
    assert torch.equal(smaller.pool(x), expected)


def test_the_whole_network_stays_as_it_is(whole):
    tensors = whole.network.state_dict()
    before = {name: tensor.clone() for name, tensor in tensors.items()}
    without_channels(whole.name, 30, tensors)
    assert all(torch.equal(tensors[name], tensor) for name, tensor in before.items())


def test_a_name_says_what_was_taken_from_what():
    assert parts_of(pruned_name("wide_resnet50_2", 5)) == ("wide_resnet50_2", 5)
    assert family_of("pruned/resnet34-40").NAMES[0] == "pruned/resnet18-30"
    (module,) = modules_of("pruned/resnet34-40")
    assert module.__name__.endswith(".pruned")
    with torch.device("meta"):
        parts = build_backbone("pruned/resnet18-30+densenet121")
    assert parts.dim == 512 + 1024


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("pruned/resnet50", r"such as pruned/resnet50-30, with one of resnet18"),
        ("pruned/resnext50_32x4d-30", "with one of resnet18"),
        ("pruned/resnet50-95", "5 to 90 percent"),
    ],
)
def test_other_names_are_refused(name, problem):
    with pytest.raises(ValueError, match=problem):
        build_backbone(name)
