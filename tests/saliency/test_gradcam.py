"""Grad-CAM and Grad-CAM++ against hand, loops and another library."""

import pytest
import torch
from captum.attr import LayerGradCam
from torch import nn
from toy_networks import convolutions

from pipeline.saliency.gradcam import grad_cam, grad_cam_plus_plus, relative


def test_grad_cam_is_what_the_paper_says_by_hand():
    maps = torch.tensor([[[[1.0, 2.0], [0.0, 4.0]], [[3.0, 0.0], [1.0, 1.0]]]])
    gradients = torch.tensor([[[[1.0, 1.0], [1.0, 5.0]], [[-1.0, -1.0], [-1.0, -1.0]]]])
    # The channels' weights are 2 and -1.
    expected = torch.tensor([[[0.0, 4.0], [0.0, 7.0]]])
    assert torch.equal(grad_cam(maps, gradients), expected)


def test_grad_cam_plus_plus_is_what_the_paper_says_in_loops():
    generator = torch.Generator().manual_seed(0)
    maps = torch.rand(1, 4, 3, 5, generator=generator)
    gradients = torch.randn(1, 4, 3, 5, generator=generator)
    expected = torch.zeros(3, 5)
    for k in range(4):
        weight = 0.0
        for i in range(3):
            for j in range(5):
                g = gradients[0, k, i, j]
                alpha = g**2 / (2 * g**2 + maps[0, k].sum() * g**3)  # equation 19
                weight += alpha * max(g, 0)
        expected += weight * maps[0, k]
    torch.testing.assert_close(grad_cam_plus_plus(maps, gradients)[0], expected.relu())


def test_negative_maps_do_not_blow_grad_cam_plus_plus_up():
    maps, gradients = torch.full((1, 1, 2, 2), -0.5), torch.ones(1, 1, 2, 2)
    assert torch.isfinite(grad_cam_plus_plus(maps, gradients)).all()


def test_captum_finds_the_same():
    torch.manual_seed(0)
    backbone = convolutions()
    head = nn.Linear(backbone.dim, 3)
    images = torch.rand(2, 3, 16, 16)
    classifier = nn.Sequential(backbone.network, head)
    expected = LayerGradCam(classifier, backbone.blocks()[-1]).attribute(
        images, target=1, relu_attributions=True
    )
    maps = backbone.blocks()[1](backbone.blocks()[0](images)).detach().requires_grad_()
    (gradients,) = torch.autograd.grad(head(backbone.pool(maps))[:, 1].sum(), maps)
    assert expected.max() > 0
    torch.testing.assert_close(grad_cam(maps, gradients)[:, None], expected)


@pytest.mark.parametrize("method", [grad_cam, grad_cam_plus_plus])
def test_an_image_does_not_see_the_others_of_its_batch(method):
    generator = torch.Generator().manual_seed(0)
    maps, gradients = (torch.randn(3, 4, 3, 3, generator=generator) for _ in range(2))
    torch.testing.assert_close(method(maps, gradients)[1:2], method(maps[1:2], gradients[1:2]))


def test_shares_of_the_maximum_leave_an_empty_map_empty():
    heat = torch.tensor([[[0.0, 1.0], [2.0, 4.0]], [[0.0, 0.0], [0.0, 0.0]]])
    found = relative(heat)
    assert found[0].tolist() == [[0.0, 0.25], [0.5, 1.0]]
    assert not found[1].any()
