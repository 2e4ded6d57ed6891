import pytest
import torch
from torch import nn

from pipeline.networks.backbones import build_backbone
from pipeline.networks.backbones.fold import fold
from pipeline.networks.backbones.transform import Transform

TRANSFORM = Transform(72, 64, "bilinear", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def trained(name):
    """A network whose batch norm is no identity, as after training."""
    torch.manual_seed(3)
    network = build_backbone(name).network.eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, 0, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.1)
    return network


def images(count=2, side=64):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "efficientnet_b5"])
def test_the_folded_network_is_the_same_function(name):
    network = trained(name)
    folded = fold(network, TRANSFORM)
    with torch.inference_mode():
        expected = network(TRANSFORM.normalise(images()))
        found = folded(images())
    assert expected.norm() > 1
    assert (found - expected).norm() / expected.norm() < 1e-5
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())


def test_without_a_transform_it_takes_normalised_images():
    network = trained("resnet18")
    normalised = TRANSFORM.normalise(images())
    with torch.inference_mode():
        torch.testing.assert_close(
            fold(network)(normalised), network(normalised), rtol=1e-4, atol=1e-5
        )


def test_borders_are_those_of_the_normalised_image():
    """Zeros around a normalised image are the mean colour around its pixels, not black."""
    first = nn.Sequential(nn.Conv2d(3, 4, 7, 2, 3, bias=False), nn.BatchNorm2d(4)).eval()
    with torch.inference_mode():
        expected = first(TRANSFORM.normalise(images(1, 16)))
        found = fold(first, TRANSFORM)(images(1, 16))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_folding_leaves_the_network_as_it_was():
    network = trained("efficientnet_b5")
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    fold(network, TRANSFORM).to(torch.bfloat16)
    after = network.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())


def test_a_batch_norm_whose_input_is_needed_elsewhere_stays():
    class Forked(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Conv2d(3, 3, 3, padding=1)
            self.second = nn.Conv2d(3, 3, 3, padding=1)
            self.norm = nn.BatchNorm2d(3)

        def forward(self, pixels):
            seen = self.second(self.first(pixels))
            return seen + self.norm(seen)

    torch.manual_seed(0)
    network = Forked().eval()
    nn.init.uniform_(network.norm.running_var, 0.5, 1.5)
    with torch.inference_mode():
        expected = network(TRANSFORM.normalise(images()))
        found = fold(network, TRANSFORM)(images())
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_a_network_in_training_mode_is_refused():
    with pytest.raises(ValueError, match="evaluation mode"):
        fold(build_backbone("resnet18").network.train(), TRANSFORM)
