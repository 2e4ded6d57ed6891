"""All of params.yaml at once, and what its sections must agree on.

Only the command line and the doctor see all rooms' parameters. A stage knows its own, or touching
a training field would compute all features anew.
"""

import hashlib
import json
from fractions import Fraction
from pathlib import Path
from typing import Any, Self

from pydantic import model_validator

from pipeline.atomic import write_text
from pipeline.backbone.params import BackboneParams
from pipeline.clips import clips_of
from pipeline.evaluate.params import EvaluateParams
from pipeline.features.params import FeaturesParams
from pipeline.frames.params import FramesParams
from pipeline.index.layouts import GIVEN_FEATURES, IMAGES
from pipeline.index.params import DataParams, SplitParams
from pipeline.paths import PARAMS
from pipeline.postprocess.params import PostprocessParams
from pipeline.result_store import store_root
from pipeline.runtime import RuntimeParams
from pipeline.settings import Section, read_all
from pipeline.task import TaskParams
from pipeline.train.params import TrainParams
from pipeline.train.task_rules import check_training

_NETWORKS = Path(__file__).parent / "networks"


class AllParams(Section):
    """params.yaml, section by section; `model` is read by the kinds of temporal networks."""

    seed: int
    data: DataParams
    split: SplitParams
    frames: FramesParams
    backbone: BackboneParams
    features: FeaturesParams
    task: TaskParams = TaskParams()
    model: dict[str, Any]
    train: TrainParams
    postprocess: PostprocessParams = PostprocessParams()
    evaluate: EvaluateParams
    runtime: RuntimeParams

    @model_validator(mode="after")
    def _task_fits(self) -> Self:
        if self.task.of_images != (self.data.layout in IMAGES):
            raise ValueError(
                f"task.kind is {self.task.kind}, but data.layout: {self.data.layout} has "
                f"{'videos' if self.task.of_images else 'single images'}. Set task.kind: "
                f"{'frames' if self.task.of_images else 'images'}, or another layout"
            )
        if self.task.of_images:
            self._check_images()
        if self.task.of_videos and self.postprocess.is_on:
            raise ValueError(
                "postprocess smooths and calibrates phases over time, but with task.kind: video a "
                "video has one answer. Set postprocess.kind: none and postprocess.temperature: "
                "false"
            )
        if self.task.of_videos and self.train.end_to_end:
            raise ValueError(
                "train.end_to_end is true, which goes on with a network of phases, but with "
                "task.kind: video a video has one answer. Set train.end_to_end: false"
            )
        return self

    def _check_rates(self) -> None:
        """Refuse to go on with an RNN at another rate than the one it was trained at."""
        context = self.backbone.finetune.context
        assert context is not None
        stride, rate = context.stride_s, self.frames.rate
        if stride is not None and Fraction(str(stride)) * rate != 1:
            raise ValueError(
                f"backbone.finetune.context.stride_s is {stride:g} and frames.fps is "
                f"{self.frames.fps}, but with train.end_to_end the RNN goes on with features that "
                f"are {float(1 / rate):g} s apart. Set stride_s: null, which is the time between "
                "samples, or train.end_to_end: false"
            )

    def _check_images(self) -> None:
        """Refuse what needs an order of frames, or several splits at a time."""
        if self.split.has_all_folds:
            raise ValueError(
                f"split.scheme is {self.split.scheme} with all folds, but task.kind: images runs "
                "one split at a time. Set split.fold to one of them"
            )
        if self.backbone.clip is not None:
            raise ValueError(
                "backbone.clip is given, but task.kind: images has no frames before an image. "
                "Set it to null"
            )
        if self.backbone.finetunes and self.backbone.finetune.context is not None:
            raise ValueError(
                "backbone.finetune.context is given, but task.kind: images has no frames before "
                "an image. Set it to null"
            )
        if self.postprocess.kind != "none":
            raise ValueError(
                f"postprocess.kind is {self.postprocess.kind}, which smooths over time, but "
                "task.kind: images has no time. Set it to none; postprocess.temperature is allowed"
            )

    @model_validator(mode="after")
    def _sections_agree(self) -> Self:
        if self.train.early_stop and not self.split.has_validation:
            raise ValueError(
                f"split.scheme: {self.split.scheme} gives no validation videos here, but "
                f"train.early_stop is {self.train.early_stop}. Give it some, or set "
                "train.early_stop: 0, which trains all epochs and keeps the last weights"
            )
        if self.postprocess.fitted_to and not self.split.has_validation:
            raise ValueError(
                f"split.scheme: {self.split.scheme} gives no validation videos here, but "
                f"{self.postprocess.fitted_to}, which is fitted to them. Give it some, or set "
                "postprocess.temperature: false and postprocess.seconds to a number"
            )
        if self.data.layout in GIVEN_FEATURES and self.backbone.mode != "frozen":
            raise ValueError(
                f"backbone.mode is {self.backbone.mode}, but data.layout: {self.data.layout} "
                "brings its features itself: there are no frames to train with. Set it to frozen"
            )
        finetune = self.backbone.finetune
        if self.backbone.finetunes and finetune.early_stop and not self.split.has_validation:
            raise ValueError(
                f"split.scheme: {self.split.scheme} gives no validation videos here, but "
                f"backbone.finetune.early_stop is {finetune.early_stop}. Give it some, or set "
                "it to 0, which trains all epochs and keeps the last weights"
            )
        if self.train.end_to_end and not (self.backbone.finetunes and finetune.context):
            raise ValueError(
                "train.end_to_end is true, but the backbone is trained without a temporal network. "
                "Set backbone.mode: finetune and backbone.finetune.context, or train.end_to_end: "
                "false"
            )
        if self.train.end_to_end:
            self._check_rates()
        if self.backbone.clip is not None:
            try:
                clips_of(self.frames.rate, self.backbone.clip)
            except ValueError as error:
                raise ValueError(f"backbone.clip.stride_s: {error}") from None
        if self.backbone.mode != "frozen" and self.backbone.crop != self.features.crop:
            raise ValueError(
                f"backbone.crop is {self.backbone.crop}, but features.crop is "
                f"{self.features.crop}: features would be taken at another size than the "
                f"backbone was made for in mode {self.backbone.mode}. Set both alike"
            )
        return self


def check_params(path: Path = PARAMS) -> AllParams:
    """Validate every section of params.yaml and what they must agree on.

    What only the networks know (names, the numbers of a kind) needs torch, and backbones need
    torchvision as well: two seconds each. So a check that went well is remembered, and `index` need
    not load them again, nor `train` torchvision where only `model` has changed.

    Raises:
        PipelineError: Names every key that is wrong, what was found and what is allowed.
    """
    params = read_all(AllParams, path)
    check_training(params.task, params.train, path)
    backbone: list[Any] = [params.backbone.model_dump(), params.features.crop]
    temporal: list[Any] = [params.model, params.train.window, params.task.kind, params.task.tracks]
    for check, name, values in (
        (_check_backbone, "checked_backbone", backbone),
        (_check_temporal, "checked_temporal", temporal),
    ):
        checked, remembered = _hash_with_code(values), store_root() / name
        if not remembered.is_file() or remembered.read_text(encoding="utf-8") != checked:
            check(params, path)
            write_text(remembered, checked)
    return params


def check_candidate(path: Path) -> AllParams:
    """As check_params, of a file that is only tried: nothing is remembered of it."""
    params = read_all(AllParams, path)
    check_training(params.task, params.train, path)
    _check_backbone(params, path)
    _check_temporal(params, path)
    return params


def _check_backbone(params: AllParams, _: Path) -> None:
    from pipeline.backbone.preconditions import check_backbone, check_features_crop

    check_backbone(params.backbone)
    check_features_crop(params.backbone, params.features.crop)


def _check_temporal(params: AllParams, path: Path) -> None:
    from pipeline.networks.temporal.params import (
        check_sees_single_frames,
        check_tracks,
        check_window,
        read_model,
    )

    kind, numbers = read_model(params.model, path)
    check_window(kind, numbers, params.train.window, path)
    check_tracks(kind, numbers, params.task.tracks, path)
    if params.task.of_images:
        check_sees_single_frames(kind, numbers, path)


def _hash_with_code(values: list[Any]) -> str:
    """A hash of the values that networks check, and of the code that does it."""
    digest = hashlib.sha256(json.dumps(values, sort_keys=True).encode())
    for file in sorted(_NETWORKS.rglob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()
