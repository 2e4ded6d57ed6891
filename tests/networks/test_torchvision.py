"""torchvision's own networks say what those that are made of their parts must give."""

import pytest
import torch
import torchvision
from torch import nn

from pipeline.networks.backbones import build_backbone, family_of

# The smallest of each family that is put together anew, and where its classifier begins.
CLASSIFIERS = {
    "densenet121": "classifier",
    "regnet_x_400mf": "fc",
    "regnet_y_400mf": "fc",
    "mobilenet_v2": "classifier",
    "mobilenet_v3_small": "classifier",
    "shufflenet_v2_x0_5": "fc",
    "mnasnet0_5": "classifier",
    "convnext_tiny": "classifier.2",
    "swin_t": "head",
    "swin_v2_t": "head",
    "vit_b_32": "heads",
}


def images(count, side):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(count, 3, side, side, generator=generator)


@pytest.mark.parametrize("name", CLASSIFIERS)
@torch.inference_mode()
def test_the_features_are_what_torchvision_gives_its_classifier(name):
    torch.manual_seed(1)
    theirs = torchvision.models.get_model(name, weights=None).eval()
    ours = build_backbone(name)
    tensors = ours.translate(dict(theirs.state_dict()))
    wanted = ours.network.state_dict().keys()
    left = [key for key in tensors if key not in wanted]
    assert all(key.startswith(ours.classifier_keys) for key in left)
    ours.network.load_state_dict({key: tensors[key] for key in wanted})
    theirs.set_submodule(CLASSIFIERS[name], nn.Identity())
    batch = images(2, 224 if name.startswith("vit") else 64)
    torch.testing.assert_close(ours.network.eval()(batch), theirs(batch), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["regnet_x_32gf", "regnet_y_128gf", "regnet_y_1_6gf"])
def test_a_regnet_has_the_tensors_that_torchvision_publishes(name):
    with torch.device("meta"):
        ours = build_backbone(name).network
    parameters = sum(p.numel() for p in ours.parameters())
    published = torchvision.models.get_model_weights(name).DEFAULT.meta["num_params"]
    classifier = (list(ours.parameters())[-1].numel() + 1) * 1000
    assert parameters == published - classifier


@torch.inference_mode()
def test_a_vit_takes_other_sizes_as_torchvision_interpolates_them():
    torch.manual_seed(1)
    theirs = torchvision.models.vit_b_32(weights=None).state_dict()
    ours = build_backbone("vit_b_32")
    network = ours.network.eval()
    tensors = ours.translate(dict(theirs))
    network.load_state_dict({key: tensors[key] for key in network.state_dict()})
    larger = torchvision.models.vit_b_32(weights=None, image_size=288)
    resized = torchvision.models.vision_transformer.interpolate_embeddings(288, 32, theirs)
    larger.load_state_dict(resized)
    larger.heads = nn.Identity()
    batch = images(1, 288)
    torch.testing.assert_close(network(batch), larger.eval()(batch), rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="290 x 290 are no multiple of patches of 32"):
        network(images(1, 290))


def test_weights_of_another_size_have_a_name_of_their_own():
    assert "IMAGENET1K_SWAG_E2E_V1" not in family_of("vit_b_16").published("vit_b_16")
    (weights,) = family_of("vit_b_16_384").published("vit_b_16_384").values()
    assert (weights.transform.resize_px, weights.transform.crop_px) == (384, 384)
    swag = family_of("vit_h_14_518").published("vit_h_14_518")
    assert swag["DEFAULT"].transform.interpolation == "bicubic"
    swin = family_of("swin_v2_t").published("swin_v2_t")["IMAGENET1K_V1"].transform
    assert (swin.resize_px, swin.crop_px, swin.interpolation) == (260, 256, "bicubic")


def test_densenet_takes_the_names_of_2017():
    backbone = build_backbone("densenet121")
    name = "features.denseblock1.denselayer1.norm1.weight"
    old = "features.denseblock1.denselayer1.norm.1.weight"
    assert list(backbone.translate({old: torch.ones(1)})) == [name]
    assert list(backbone.translate({name: torch.ones(1)})) == [name]
