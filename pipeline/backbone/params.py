"""The section `backbone` of params.yaml."""

from typing import Literal

from pydantic import Field

from pipeline.settings import Section


class BackboneParams(Section):
    """Which CNN, and where its weights come from.

    Attributes:
        name: Architecture, as torchvision spells it.
        weights: A torchvision weight (IMAGENET1K_V1, IMAGENET1K_V2, DEFAULT), the path of a .pth,
            .pt or .safetensors file, or `random` (drawn from `seed`).
        mode: `frozen` uses the weights as they are.
    """

    name: Literal[
        "resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "efficientnet_b5"
    ] = "resnet50"
    weights: str = Field("random", min_length=1)
    mode: Literal["frozen"] = "frozen"
