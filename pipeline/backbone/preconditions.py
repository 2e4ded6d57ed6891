"""What must hold before the backbone is trained or adapted: parameters, frames, devices."""

import numpy as np
import torch

from pipeline.backbone.classifier import batch_norms
from pipeline.backbone.labelled_frames import LabelledFrames
from pipeline.backbone.params import BackboneParams
from pipeline.backbone.params_finetune import FinetuneParams
from pipeline.backbone.released import check_released
from pipeline.errors import PipelineError
from pipeline.networks.backbones import (
    build_backbone,
    clip_family,
    family_of,
    reads_clips,
)
from pipeline.networks.backbones.contract import Backbone
from pipeline.networks.backbones.crop import check_crop
from pipeline.runtime import RuntimeParams, chosen_gpus, gpus


def check_backbone(params: BackboneParams) -> None:
    """Check what only the families know: names, weights, sizes, numbers of blocks, batch norm.

    Args:
        params: The section `backbone`.

    Raises:
        PipelineError: No family has the name, a library that it needs is not installed, released
            weights belong to another one, it does not take images of `crop`, `freeze_until` leaves
            nothing to train, or there is no batch norm to adapt.
    """
    for name, _ in params.parts:
        try:
            family_of(name)
        except ValueError as error:
            raise PipelineError(f"params.yaml: backbone.name: {error}.") from None
    if isinstance(params.name, str):
        _check_clip(params.name, params)
    else:
        _check_hybrid(params.name, params)
    for name, weights in params.parts:
        part = _on_meta(name)
        check_released(name, weights)
        if params.crop is not None:
            check_crop(part, params.crop, "backbone.crop")
        if params.mode != "frozen" and not any(True for _ in part.network.parameters()):
            raise PipelineError(
                f"params.yaml: backbone.mode: found {params.mode}, but {name} has no weights "
                "to train or adapt. Allowed for it: frozen."
            )
    if params.mode == "frozen":
        return
    backbone = _on_meta(params.network)
    most = len(backbone.blocks()) - 1
    finetune = params.finetune
    if (
        params.finetunes
        and finetune.strategy == "freeze_until"
        and not 1 <= finetune.freeze_until <= most
    ):
        raise PipelineError(
            f"params.yaml: backbone.finetune.freeze_until: found {finetune.freeze_until}, which "
            f"freezes all of {params.network}. Allowed: 1 to {most}; strategy: head trains the "
            "head alone."
        )
    if params.adapts and not any(True for _ in batch_norms(backbone.network)):
        raise PipelineError(
            f"params.yaml: backbone.mode: found {params.mode}, but {params.network} has no batch "
            "norm to adapt. Allowed for it: frozen, finetune."
        )


def check_features_crop(params: BackboneParams, crop_px: int | None) -> None:
    """Check that the backbone takes images of features.crop, before it is trained for them.

    Args:
        params: The section `backbone`, which `check_backbone` let pass.
        crop_px: As features.crop.

    Raises:
        PipelineError: It does not.
    """
    if crop_px is not None:
        for name, _ in params.parts:
            check_crop(_on_meta(name), crop_px, "features.crop")


def _on_meta(name: str) -> Backbone:
    """The backbone without memory and numbers.

    Raises:
        PipelineError: Its family cannot build it.
    """
    try:
        with torch.device("meta"):
            return build_backbone(name)
    except ValueError as error:
        raise PipelineError(f"params.yaml: backbone.name: {error}.") from None


def _check_hybrid(names: list[str], params: BackboneParams) -> None:
    """Networks that read images, and that this fusion can join and this strategy train."""
    for name in names:
        if reads_clips(name):
            raise PipelineError(
                f"params.yaml: backbone.name: {name} reads clips. Allowed in a hybrid: networks "
                "that read single images."
            )
    if not params.finetunes:
        return
    if params.finetune.strategy == "head" and params.fusion != "concat":
        raise PipelineError(
            f"params.yaml: backbone.finetune.strategy: found head, which leaves the weights of "
            f"backbone.fusion: {params.fusion} as they are drawn. Allowed with it: any other "
            "strategy. Allowed with strategy: head: fusion: concat, which has no weights."
        )
    try:
        with torch.device("meta"):
            build_backbone(params.network)
    except ValueError as error:
        raise PipelineError(f"params.yaml: backbone.fusion: {error}.") from None


def _check_clip(name: str, params: BackboneParams) -> None:
    """A clip for networks that read clips, of a length that they can read, and none for others."""
    if not reads_clips(name):
        if params.clip is not None:
            raise PipelineError(
                f"params.yaml: backbone.clip: {name} reads single images. Set it to null."
            )
        return
    if params.clip is None:
        size = clip_family(name).clip_size(name)
        raise PipelineError(
            f"params.yaml: backbone.clip: found null, but {name} reads clips. Its published "
            f"weights were trained with {{frames: {size.frames}, stride_s: {size.stride_s:.4g}}}."
        )
    try:
        with torch.device("meta"):
            build_backbone(params.network)
    except ValueError as error:
        raise PipelineError(f"params.yaml: backbone.clip.frames: {error}.") from None


def check_training(
    training: LabelledFrames,
    validation: LabelledFrames,
    params: FinetuneParams,
    runtime: RuntimeParams,
) -> None:
    """Stop a training that could not end well, before hours are spent on it.

    Args:
        training: Labelled frames to learn from.
        validation: Labelled frames to choose the weights by.
        params: The section `backbone.finetune`.
        runtime: Device and devices.

    Raises:
        PipelineError: Frames, tool labels or devices are missing, or do not fit the parameters.
    """
    if not len(training):
        raise PipelineError(
            "data/index/labels.csv: no frame of the training videos is labelled; nothing to "
            "fine-tune on. Set backbone.mode: frozen, or label a video of train."
        )
    if not len(validation) and params.early_stop:
        raise PipelineError(
            "data/index/splits.csv: no labelled frame in val, but backbone.finetune.early_stop is "
            f"{params.early_stop}. Give val a video (split in params.yaml), or set "
            "backbone.finetune.early_stop: 0, which trains all epochs and keeps the last weights."
        )
    _check_devices(len(training), params, runtime)
    if params.tools and not (~np.isnan(training.tools)).any():
        raise PipelineError(
            f"params.yaml: backbone.finetune.tools: found {params.tools:g}, but no training video "
            "has tool labels (data/index/tools.csv). Set it to 0."
        )


def _check_devices(num_frames: int, params: FinetuneParams, runtime: RuntimeParams) -> None:
    found, devices = gpus(runtime), max(1, len(chosen_gpus(runtime)))
    asked = runtime.devices if isinstance(runtime.devices, int) else devices
    if asked > 1 and not found:
        raise PipelineError(
            f"params.yaml: runtime.devices: found {runtime.devices}, but fine-tuning runs on the "
            "CPU here, in one process that uses all cores. Allowed without a GPU: 1."
        )
    if found and asked > found:
        raise PipelineError(
            f"params.yaml: runtime.devices: found {runtime.devices}, but torch sees {found} GPUs."
        )
    if params.context is not None and devices > 1:
        raise PipelineError(
            f"params.yaml: runtime.devices: found {runtime.devices}, but fine-tuning with "
            "backbone.finetune.context runs on one device. Allowed with it: 1."
        )
    per_pass = min(num_frames, params.frames_per_epoch or num_frames, params.batch)
    if per_pass < 2 * devices:
        raise PipelineError(
            f"params.yaml: backbone.finetune.batch: {per_pass} frames do not give "
            f"runtime.devices: {devices} at least two each. "
            "Take fewer devices, or a larger batch."
        )
    if params.precision == "16-mixed" and not found:
        raise PipelineError(
            "params.yaml: backbone.finetune.precision: found 16-mixed, which needs a GPU. "
            "Allowed here: 32-true, bf16-mixed."
        )
