"""ResNeXt and Wide ResNet: ResNet's blocks with grouped, or with more, channels inside.

Xie et al., "Aggregated Residual Transformations for Deep Neural Networks", CVPR 2017; Zagoruyko and
Komodakis, "Wide Residual Networks", BMVC 2016. torchvision's networks.
"""

from pipeline.networks.backbones.resnet import build, published

__all__ = ["NAMES", "build", "published"]

NAMES: tuple[str, ...] = (
    "resnext50_32x4d",
    "resnext101_32x8d",
    "resnext101_64x4d",
    "wide_resnet50_2",
    "wide_resnet101_2",
)
