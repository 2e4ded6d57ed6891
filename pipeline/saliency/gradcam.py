"""Grad-CAM and Grad-CAM++: a map and a logit's gradient with respect to it to a heat map.

Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
Localization", ICCV 2017. Chattopadhyay et al., "Grad-CAM++: Generalized Gradient-based Visual
Explanations for Deep Convolutional Networks", WACV 2018.
"""

from collections.abc import Callable

import torch

Method = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def grad_cam(maps: torch.Tensor, gradients: torch.Tensor) -> torch.Tensor:
    """ReLU of the sum of the channels, each weighted by its mean gradient (equations 1 and 2).

    Args:
        maps: (B, K, h, w), what was seen where.
        gradients: (B, K, h, w), of the logit with respect to them.

    Returns:
        (B, h, w), not negative, on the scale of the logit.
    """
    weights = gradients.mean(dim=(2, 3), keepdim=True)
    return (weights * maps).sum(dim=1).relu()


def grad_cam_plus_plus(maps: torch.Tensor, gradients: torch.Tensor) -> torch.Tensor:
    """As grad_cam, but only pulls towards the class count, the more so where a map is weak.

    Equations 5, 10 and 19 for the exponential of the logit, without the factor exp(logit), which
    all weights share: w_k = sum over places of alpha_k * ReLU(g_k), where
    alpha_k = 1 / (2 + g_k * sum of the map k).
    The paper's maps come out of a ReLU. Others count here by their positive values in that sum,
    which could otherwise come near -2.

    Args:
        maps: (B, K, h, w), what was seen where.
        gradients: (B, K, h, w), of the logit with respect to them.

    Returns:
        (B, h, w), not negative.
    """
    pull = gradients.relu()
    alpha = 1 / (2 + pull * maps.relu().sum(dim=(2, 3), keepdim=True))
    weights = (alpha * pull).sum(dim=(2, 3), keepdim=True)
    return (weights * maps).sum(dim=1).relu()


METHODS: dict[str, Method] = {"Grad-CAM": grad_cam, "Grad-CAM++": grad_cam_plus_plus}
"""By the names that pictures give them."""


def relative(heat: torch.Tensor) -> torch.Tensor:
    """Heat maps (B, h, w) as shares of each one's maximum, 0 to 1; one that is zero stays so."""
    highest = heat.amax(dim=(1, 2), keepdim=True)
    return heat / torch.where(highest > 0, highest, torch.ones_like(highest))
