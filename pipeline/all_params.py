"""All of params.yaml at once, and what its sections must agree on.

Only the command line and the doctor see all rooms' parameters. A stage knows its own, or touching
a training field would recompute all features.
"""

from pathlib import Path
from typing import Any, Self

from pydantic import model_validator

from pipeline.backbone.params import BackboneParams
from pipeline.evaluate.params import EvaluateParams
from pipeline.features.params import FeaturesParams
from pipeline.frames.params import FramesParams
from pipeline.index.params import DataParams, SplitParams
from pipeline.runtime import RuntimeParams
from pipeline.settings import PARAMS, Section, read_all
from pipeline.train.params import TrainParams


class AllParams(Section):
    """params.yaml, section by section."""

    seed: int
    data: DataParams
    split: SplitParams
    frames: FramesParams
    backbone: BackboneParams
    features: FeaturesParams
    model: dict[str, Any]
    train: TrainParams
    evaluate: EvaluateParams
    runtime: RuntimeParams

    @model_validator(mode="after")
    def _sections_agree(self) -> Self:
        if self.train.early_stop and not self.split.has_validation:
            raise ValueError(
                f"split.scheme: {self.split.scheme} gives no validation videos here, but "
                f"train.early_stop is {self.train.early_stop}. Give it some, or set "
                "train.early_stop: 0, which trains all epochs and keeps the last weights"
            )
        finetune = self.backbone.finetune
        if self.backbone.finetunes and finetune.early_stop and not self.split.has_validation:
            raise ValueError(
                f"split.scheme: {self.split.scheme} gives no validation videos here, but "
                f"backbone.finetune.early_stop is {finetune.early_stop}. Give it some, or set "
                "it to 0, which trains all epochs and keeps the last weights"
            )
        if self.backbone.mode != "frozen" and self.backbone.crop != self.features.crop:
            raise ValueError(
                f"backbone.crop is {self.backbone.crop}, but features.crop is "
                f"{self.features.crop}: features would be taken at another size than the "
                f"backbone was made for in mode {self.backbone.mode}. Set both alike"
            )
        from pipeline.networks.temporal.params import check_window, read_model

        check_window(*read_model(self.model), self.train.window)
        return self


def check_params(path: Path = PARAMS) -> AllParams:
    """Validate every section of params.yaml and what they must agree on.

    Raises:
        PipelineError: Names every key that is wrong, what was found and what is allowed.
    """
    return read_all(AllParams, path)
