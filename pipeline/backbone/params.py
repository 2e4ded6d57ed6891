"""The section `backbone` of params.yaml."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from pipeline.backbone.params_finetune import AdabnParams, FinetuneParams
from pipeline.clips import ClipParams
from pipeline.settings import Section

Fusion = Literal["concat", "bottleneck", "add", "gate", "cross_attention"]
Text = Annotated[str, Field(min_length=1)]


class BackboneParams(Section):
    """Which network, where its weights come from, and what is done to them.

    Attributes:
        name: One of a family of pipeline/networks/backbones, or a list of two or more that read
            images: a hybrid.
        weights: Published weights (for most IMAGENET1K_V1 or DEFAULT), the path of a .pth, .pt or
            .safetensors file, a released surgical encoder such as lemonfm, alone or before the
            path of its file (docs/backbones.md), or `random` (drawn from `seed`). Of a hybrid, one
            value for all networks or a list with one for each.
        mode: `frozen` uses the weights as they are. `finetune` trains them on the training
            videos. `adabn` estimates the batch-norm statistics anew on the videos of a split
            (Li et al., "Revisiting Batch Normalization For Practical Domain Adaptation", 2016).
            `finetune_adabn` does one after the other.
        crop: Side of the crop in pixels while training or adapting; null is what the weights
            expect, another value scales the resize before it alike. Use that of features.crop.
        clip: For networks that read clips: how many frames, how far apart; null for all others.
        fusion: Of a hybrid in the modes with finetune, how the networks' features become one
            vector (pipeline/networks/backbones/fusion.py); in the others they lie side by side.
        finetune: For the modes with finetune.
        adabn: For the modes with adabn.
    """

    name: Text | list[Text] = "resnet50"
    weights: Text | list[Text] = "random"
    mode: Literal["frozen", "finetune", "adabn", "finetune_adabn"] = "frozen"
    crop: int | None = Field(None, ge=32)
    clip: ClipParams | None = None
    fusion: Fusion = "concat"
    finetune: FinetuneParams = FinetuneParams()
    adabn: AdabnParams = AdabnParams()

    @model_validator(mode="after")
    def _a_hybrid_has_several_networks(self) -> Self:
        if isinstance(self.name, list) and len(self.name) < 2:
            raise ValueError(f"name: a list has two networks or more, found {self.name}")
        if isinstance(self.name, list) and self.clip is not None:
            raise ValueError("clip: a hybrid reads single images. Set it to null")
        if self.clip is not None and self.finetune.context is not None:
            raise ValueError(
                "finetune.context: found beside clip, but a network that reads clips has a context "
                "of its own. Set one of both to null"
            )
        if isinstance(self.weights, list) and len(self.weights) != len(self._names):
            raise ValueError(
                f"weights: found {len(self.weights)} for {len(self._names)} networks in name. "
                "Allowed: one for each, in the same order, or one value for all"
            )
        return self

    @property
    def _names(self) -> list[str]:
        if isinstance(self.name, list):
            return self.name
        return [self.name if self.clip is None else f"{self.name}@{self.clip.frames}"]

    @property
    def network(self) -> str:
        """The name under which build_backbone knows the network."""
        name = "+".join(self._names)
        fuses = self.is_hybrid and self.finetunes and self.fusion != "concat"
        return f"{name}:{self.fusion}" if fuses else name

    @property
    def parts(self) -> list[tuple[str, str]]:
        """Name and weights of each network; of one that is no hybrid, its own alone."""
        names = self._names
        weights = self.weights if isinstance(self.weights, list) else [self.weights] * len(names)
        return list(zip(names, weights, strict=True))

    @property
    def is_hybrid(self) -> bool:
        """Whether there are several networks."""
        return isinstance(self.name, list)

    @property
    def side_by_side(self) -> bool:
        """Whether several networks each see an image in their own way, and nothing joins them."""
        return self.is_hybrid and self.mode == "frozen"

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
        if self.finetunes and self.is_hybrid:
            found["fusion"] = self.fusion
        if self.finetunes:
            found["finetune"] = self.finetune.deciding()
        if self.adapts:
            found["adabn"] = self.adabn.model_dump()
        return found
