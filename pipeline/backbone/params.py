"""The section `backbone` of params.yaml."""

from typing import Literal, Self

from pydantic import Field, model_validator

from pipeline.backbone.params_finetune import AdabnParams, FinetuneParams
from pipeline.settings import Section


class BackboneParams(Section):
    """Which CNN, where its weights come from, and what is done to them.

    Attributes:
        name: Architecture, as torchvision spells it.
        weights: A torchvision weight (IMAGENET1K_V1, IMAGENET1K_V2, DEFAULT), the path of a .pth,
            .pt or .safetensors file, or `random` (drawn from `seed`).
        mode: `frozen` uses the weights as they are. `finetune` trains them on the training
            videos. `adabn` estimates the batch-norm statistics anew on the videos of a split
            (Li et al., "Revisiting Batch Normalization For Practical Domain Adaptation", 2016).
            `finetune_adabn` does one after the other.
        crop: Side of the crop in pixels while training or adapting; null is what the weights
            expect, another value scales the resize before it alike. Use that of features.crop.
        finetune: For the modes with finetune.
        adabn: For the modes with adabn.
    """

    name: Literal[
        "resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "efficientnet_b5"
    ] = "resnet50"
    weights: str = Field("random", min_length=1)
    mode: Literal["frozen", "finetune", "adabn", "finetune_adabn"] = "frozen"
    crop: int | None = Field(None, ge=32)
    finetune: FinetuneParams = FinetuneParams()
    adabn: AdabnParams = AdabnParams()

    @property
    def finetunes(self) -> bool:
        """Whether the CNN is trained here."""
        return self.mode in ("finetune", "finetune_adabn")

    @property
    def adapts(self) -> bool:
        """Whether batch-norm statistics are estimated here."""
        return self.mode in ("adabn", "finetune_adabn")

    @model_validator(mode="after")
    def _leaves_something_to_train(self) -> Self:
        # A ResNet has eight children with weights below its pooling, EfficientNet nine.
        most = 8 if self.name.startswith("efficientnet") else 7
        if self.finetune.strategy == "freeze_until" and self.finetune.freeze_until > most:
            raise ValueError(
                f"finetune.freeze_until is {self.finetune.freeze_until}, which freezes all of "
                f"{self.name}. Allowed: 1 to {most}; strategy: head trains the head alone"
            )
        return self
