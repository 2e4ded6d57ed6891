"""The section `backbone` of params.yaml."""

from typing import Any, Literal

from pydantic import Field

from pipeline.backbone.params_finetune import AdabnParams, FinetuneParams
from pipeline.clips import ClipParams
from pipeline.settings import Section


class BackboneParams(Section):
    """Which network, where its weights come from, and what is done to them.

    Attributes:
        name: One of a family of pipeline/networks/backbones.
        weights: Published weights (for most IMAGENET1K_V1 or DEFAULT), the path of a .pth, .pt or
            .safetensors file, or `random` (drawn from `seed`).
        mode: `frozen` uses the weights as they are. `finetune` trains them on the training
            videos. `adabn` estimates the batch-norm statistics anew on the videos of a split
            (Li et al., "Revisiting Batch Normalization For Practical Domain Adaptation", 2016).
            `finetune_adabn` does one after the other.
        crop: Side of the crop in pixels while training or adapting; null is what the weights
            expect, another value scales the resize before it alike. Use that of features.crop.
        clip: For networks that read clips: how many frames, how far apart; null for all others.
        finetune: For the modes with finetune.
        adabn: For the modes with adabn.
    """

    name: str = "resnet50"
    weights: str = Field("random", min_length=1)
    mode: Literal["frozen", "finetune", "adabn", "finetune_adabn"] = "frozen"
    crop: int | None = Field(None, ge=32)
    clip: ClipParams | None = None
    finetune: FinetuneParams = FinetuneParams()
    adabn: AdabnParams = AdabnParams()

    @property
    def network(self) -> str:
        """The name under which build_backbone knows the network."""
        return self.name if self.clip is None else f"{self.name}@{self.clip.frames}"

    @property
    def finetunes(self) -> bool:
        """Whether the network is trained here."""
        return self.mode in ("finetune", "finetune_adabn")

    @property
    def adapts(self) -> bool:
        """Whether batch-norm statistics are estimated here."""
        return self.mode in ("adabn", "finetune_adabn")

    def deciding(self) -> dict[str, Any]:
        """What this mode reads of the section, beside name, weights and mode."""
        found: dict[str, Any] = {}
        if self.mode != "frozen":
            found["crop"] = self.crop
        if self.finetunes:
            found["finetune"] = self.finetune.deciding()
        if self.adapts:
            found["adabn"] = self.adabn.model_dump()
        return found
