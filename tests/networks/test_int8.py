import pytest
import torch
from torch import nn

from pipeline.features.quantise import quantise
from pipeline.networks.backbones import build_backbone


@pytest.mark.parametrize(
    "name", ["densenet121", "regnet_x_400mf", "shufflenet_v2_x0_5", "resnext50_32x4d"]
)
@torch.inference_mode()
def test_int8_stays_close_to_fp32_where_it_is_offered(name):
    torch.manual_seed(0)
    backbone = build_backbone(name)
    coarse = torch.randint(0, 256, (6, 3, 12, 12)).float()
    pixels = nn.functional.interpolate(coarse, (64, 64), mode="bicubic").clamp(0, 255).byte()
    folded = backbone.fold(backbone.network.eval(), backbone.transform)
    small = quantise(folded, [pixels], backbone.in_full)
    close = nn.functional.cosine_similarity(small(pixels), folded(pixels))
    assert close.min() > 0.99
