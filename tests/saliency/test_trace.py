"""The gradient that leads from a temporal model's logit back to a backbone's map."""

import pytest
import torch
from captum.attr import LayerGradCam
from torch import nn
from torch.nn import functional
from toy_networks import CLASSES, FORMS, convolutions, logits_of_video, pair, temporal, transformer

from pipeline.networks.backbones import FAMILIES, build_backbone
from pipeline.networks.backbones.contract import Backbone
from pipeline.networks.backbones.transform import Transform
from pipeline.networks.temporal import KINDS
from pipeline.saliency.gradcam import METHODS, grad_cam
from pipeline.saliency.trace import logits_at, maps_of, trace

T = 30


def named(form):
    return "-".join([form[0], *(str(value) for value in form[1].values())])


@pytest.fixture(params=FORMS, ids=named)
def networks(request):
    """A backbone and a temporal network in double precision, standardisation included."""
    torch.manual_seed(3)
    backbone = convolutions()
    backbone.network.double()
    network = temporal(request.param, backbone.dim).double()
    network.standardise.fit(torch.randn(backbone.dim), torch.rand(backbone.dim) * 0.1 + 0.05)
    return backbone, network


@pytest.fixture
def image():
    return torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(1)).double()


@pytest.fixture
def features():
    return torch.randn(T, 6, generator=torch.Generator().manual_seed(2)).double()


def with_row(features, sample, row):
    return torch.cat((features[:sample], row[None], features[sample + 1 :]))


@pytest.mark.parametrize("sample", [0, 1, 17, T - 1])
def test_logits_are_those_of_the_whole_video(networks, features, sample):
    _, network = networks
    row = torch.randn(6, generator=torch.Generator().manual_seed(4)).double()
    expected = logits_of_video(network, with_row(features, sample, row))[sample]
    torch.testing.assert_close(logits_at(network, features, sample, row), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_logits_of_every_kind_are_those_of_the_whole_video(kind, features):
    torch.manual_seed(0)
    network = temporal((kind, {}), 6)
    row = torch.randn(6, generator=torch.Generator().manual_seed(4), requires_grad=True)
    expected = logits_of_video(network, with_row(features.float(), 17, row))[17]
    found = logits_at(network, features.float(), 17, row)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    gradients = [torch.autograd.grad(logits[1], row)[0] for logits in (found, expected)]
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-5)


def test_the_gradient_is_the_directional_derivative_of_the_whole_video(networks, image, features):
    backbone, network = networks
    sample, step = 17, 1e-6
    found = trace([backbone], network, [image], features, sample)
    (part,) = found.parts
    (gradient,) = torch.autograd.grad(found.logits[1], part.outputs[0], retain_graph=True)
    with torch.no_grad():
        seen = backbone.blocks()[1](backbone.blocks()[0](image))
        way = torch.randn(seen.shape, generator=torch.Generator().manual_seed(5)).double()

        def logit(maps):
            return logits_of_video(network, with_row(features, sample, backbone.pool(maps)[0]))[
                sample, 1
            ]

        slope = (logit(seen + step * way) - logit(seen - step * way)) / (2 * step)
    torch.testing.assert_close((gradient * way).sum(), slope, rtol=1e-6, atol=1e-9)


class _Video(nn.Module):
    """One image among the features of a video, to the logits there: both networks as one."""

    def __init__(self, backbone, network, features, sample):
        super().__init__()
        self.backbone, self.temporal = backbone.network, network
        self.features, self.sample = features, sample

    def forward(self, image):
        row = self.backbone(image)[0]
        logits = logits_of_video(self.temporal, with_row(self.features, self.sample, row))
        return logits[self.sample][None]


def test_captum_finds_the_same_through_both_networks(networks, image, features):
    backbone, network = networks
    found = trace([backbone], network, [image], features, 17)
    other = LayerGradCam(_Video(backbone, network, features, 17), backbone.blocks()[-1])
    hottest = 0.0
    for number in range(CLASSES):
        expected = other.attribute(image, target=number, relu_attributions=True)[0, 0]
        expected = expected.detach()
        hottest = max(hottest, float(expected.max()))
        expected = expected / expected.max() if expected.any() else expected
        torch.testing.assert_close(found.heat(found.parts[0], number, grad_cam), expected)
    assert hottest > 0


def test_captum_finds_the_same_in_a_resnet():
    torch.manual_seed(0)
    backbone = build_backbone("resnet18")
    backbone.network.eval()
    network = temporal(FORMS[0], backbone.dim)
    image, features = torch.randn(1, 3, 64, 64), torch.rand(9, backbone.dim)
    found = trace([backbone], network, [image], features, 6)
    other = LayerGradCam(_Video(backbone, network, features, 6), backbone.network.layer4)
    # Some class has a map that is not empty.
    expected = [other.attribute(image, target=c, relu_attributions=True)[0, 0] for c in range(3)]
    number = max(range(3), key=lambda c: expected[c].max())
    torch.testing.assert_close(
        found.heat(found.parts[0], number, grad_cam),
        (expected[number] / expected[number].max()).detach(),
        rtol=1e-3,
        atol=1e-4,
    )


@pytest.mark.parametrize("family", [family for family in FAMILIES if family != "pixels"])
def test_every_backbone_with_maps_leads_back_to_them(family):
    torch.manual_seed(0)
    # The first of a family is its smallest, but for ViT, which alone needs images of its own size.
    backbone = build_backbone("vit_b_32" if family == "vit" else FAMILIES[family].NAMES[0])
    assert maps_of(backbone)
    backbone.network.eval().requires_grad_(False)
    network = temporal(FORMS[0], backbone.dim)
    side = backbone.transform.crop_px if family == "vit" else 64
    image, features = torch.randn(1, 3, side, side), torch.randn(4, backbone.dim)
    found = trace([backbone], network, [image], features, 2)
    expected = logits_of_video(network, with_row(features, 2, backbone.network(image)[0]))[2]
    torch.testing.assert_close(found.logits, expected, rtol=1e-4, atol=1e-4)
    heat = [found.heat(found.parts[0], number, grad_cam) for number in range(CLASSES)]
    assert max(float(one.max()) for one in heat) == 1


def test_a_map_out_of_several_tensors_has_its_own_gradient():
    torch.manual_seed(0)
    backbone = pair()
    network = temporal(FORMS[0], backbone.dim)
    image, features = torch.rand(1, 3, 16, 16), torch.rand(4, backbone.dim)
    found = trace([backbone], network, [image], features, 2)
    wrapped = _Video(backbone, network, features, 2)
    other = LayerGradCam(wrapped, backbone.blocks()[-1].layers[1])
    for number in range(CLASSES):
        expected = other.attribute(image, target=number, relu_attributions=True)[0, 0].detach()
        expected = expected / expected.max() if expected.any() else expected
        torch.testing.assert_close(found.heat(found.parts[0], number, grad_cam), expected)


def test_networks_side_by_side_have_a_map_each():
    torch.manual_seed(0)
    first, second = convolutions(4), pair()
    network = temporal(FORMS[0], first.dim + second.dim)
    images = [torch.rand(1, 3, side, side) for side in (16, 20)]
    features = torch.rand(4, network.dim)
    found = trace([first, second], network, images, features, 2)
    assert [(part.label, part.image) for part in found.parts] == [("1. toy", 0), ("2. toy", 1)]
    row = torch.cat([first.network(images[0])[0], second.network(images[1])[0]])
    expected = logits_of_video(network, with_row(features, 2, row))[2]
    torch.testing.assert_close(found.logits, expected)
    shapes = [tuple(found.heat(part, 0, grad_cam).shape) for part in found.parts]
    assert shapes == [(8, 8), (4, 4)]


def test_networks_fused_into_one_have_a_map_each():
    torch.manual_seed(0)
    backbone = build_backbone("resnet18+resnet34:gate")
    backbone.network.eval().requires_grad_(False)
    network = temporal(FORMS[0], backbone.dim)
    image, features = torch.randn(1, 3, 64, 64), torch.rand(4, backbone.dim)
    found = trace([backbone], network, [image], features, 2)
    assert [part.label for part in found.parts] == ["1. resnet18", "2. resnet34"]
    wrapped = _Video(backbone, network, features, 2)
    for part, resnet in zip(found.parts, backbone.network.parts, strict=True):
        other = LayerGradCam(wrapped, resnet.layer4)
        image.requires_grad_()
        expected = [
            other.attribute(image, target=c, relu_attributions=True)[0, 0] for c in range(3)
        ]
        number = max(range(3), key=lambda c: expected[c].max())
        heat = found.heat(part, number, grad_cam)
        same = (expected[number] / expected[number].max()).detach()
        torch.testing.assert_close(heat, same, rtol=1e-3, atol=1e-4)


def test_patches_of_a_transformer_with_a_class_token_have_a_map():
    """In the output of its last block only the token leads on to the feature."""
    torch.manual_seed(0)
    backbone = transformer()
    network = temporal(FORMS[0], backbone.dim)
    image, features = torch.randn(1, 3, 16, 16), torch.randn(5, backbone.dim)
    found = trace([backbone], network, [image], features, 3)
    expected = logits_of_video(network, with_row(features, 3, backbone.network(image)[0]))[3]
    torch.testing.assert_close(found.logits, expected)
    (part,) = found.parts
    (gradient,) = torch.autograd.grad(found.logits[0], part.outputs[0], retain_graph=True)
    assert gradient.any() and not part.maps(gradient).any()
    heat = [found.heat(part, number, grad_cam) for number in range(CLASSES)]
    assert all(one.shape == (4, 4) for one in heat) and any(one.any() for one in heat)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("form", FORMS, ids=named)
def test_the_map_is_hottest_where_a_bright_square_alone_decides(form, method):
    """Videos of noise, a backbone that sees brightness alone, and class 1 where a square is."""
    torch.manual_seed(0)
    backbone = convolutions(4)
    with torch.no_grad():
        for layer in backbone.network.modules():
            if isinstance(layer, nn.Conv2d):
                layer.weight.fill_(1 / layer.weight[0].numel())
                layer.bias.fill_(-0.5 if layer.in_channels == 3 else 0.0)
    network = temporal(form, backbone.dim)
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    # Each class by itself: a softmax could let the others' logits fall instead of this one rise.
    labels = functional.one_hot(torch.tensor([0, 0, 0, 1, 1, 1]), CLASSES).float()
    network.standardise.fit(torch.full((4,), 0.02), torch.full((4,), 0.02))
    for _ in range(40):
        video, _ = _video_with_square()
        logits = logits_of_video(network, backbone.network(video).detach())
        loss = functional.binary_cross_entropy_with_logits(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.4
    for _ in range(5):
        video, (top, left) = _video_with_square()
        features = backbone.network(video).detach()
        found = trace([backbone], network, [video[3:4]], features, 3)
        assert found.logits.argmax() == 1
        heat = found.heat(found.parts[0], 1, METHODS[method])  # (8, 8), of 16 x 16 pixels
        assert heat.max() == 1
        row, column = divmod(int(heat.argmax()), 8)
        assert top - 2 <= 2 * row <= top + 4 and left - 2 <= 2 * column <= left + 4


def _video_with_square():
    """Six frames (6, 3, 16, 16), the last three with a square of 4 x 4; its corner."""
    video = torch.rand(6, 3, 16, 16) * 0.3
    top, left = (int(torch.randint(0, 12, ())) for _ in range(2))
    video[3:, :, top : top + 4, left : left + 4] += 1
    return video, (top, left)


def test_the_map_of_a_clip_is_that_of_the_frames_moment(features):
    square = torch.zeros(1, 4, 3, 8, 8)
    square[:, -1, :, 2:4, 5:7] = 1.0  # in the last frame alone
    first = nn.Conv3d(3, features.shape[1], 1, bias=False)
    nn.init.constant_(first.weight, 0.1)
    clip_input = nn.Sequential(_ChannelsFirst(), first)
    pool = nn.Sequential(nn.AdaptiveAvgPool3d(1), nn.Flatten())
    backbone = Backbone(
        name="toy@4",
        network=nn.Sequential(clip_input, pool),
        dim=features.shape[1],
        transform=Transform(8, 8, "bilinear", (0.0,) * 3, (1.0,) * 3),
        blocks=lambda: [clip_input],
        pool=pool,
        classifier_keys=(),
        maps=lambda last: last,
        clip_frames=4,
    )
    torch.manual_seed(0)
    network = KINDS["linear"].build(features.shape[1], CLASSES, KINDS["linear"].Params()).eval()
    for own, there in ((1.0, True), (0.0, False)):
        traced = trace([backbone], network, [square], features, 3, own)
        heats = [traced.heat(traced.parts[0], c, grad_cam) for c in range(CLASSES)]
        assert all(heat.shape == (8, 8) for heat in heats)
        assert any(bool(heat.any()) for heat in heats) == there
        for heat in heats:
            if heat.any():
                assert torch.equal(heat > 0.5, square[0, -1, 0] > 0.5)


class _ChannelsFirst(nn.Module):
    def forward(self, clips):
        return clips.transpose(1, 2)
