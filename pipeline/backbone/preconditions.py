"""What must be there before the backbone is fine-tuned: frames, tool labels, devices."""

import numpy as np

from pipeline.backbone.labelled_frames import LabelledFrames
from pipeline.backbone.params_finetune import FinetuneParams
from pipeline.errors import PipelineError
from pipeline.runtime import RuntimeParams, gpus


def check(
    training: LabelledFrames,
    validation: LabelledFrames,
    params: FinetuneParams,
    runtime: RuntimeParams,
) -> None:
    """Raise a PipelineError where a training could not end well, before hours are spent on it.

    Args:
        training: Labelled frames to learn from.
        validation: Labelled frames to choose the weights by.
        params: The section `backbone.finetune`.
        runtime: Device and devices.
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
    steps = min(len(training), params.frames_per_epoch or len(training))
    if min(steps, params.batch) < 2 * runtime.devices:
        raise PipelineError(
            f"params.yaml: backbone.finetune.batch: {min(steps, params.batch)} frames do not give "
            f"runtime.devices: {runtime.devices} at least two each. "
            "Take fewer devices, or a larger batch."
        )
    found = gpus(runtime)
    if found and runtime.devices > found:
        raise PipelineError(
            f"params.yaml: runtime.devices: found {runtime.devices}, but torch sees {found} GPUs."
        )
    if params.precision == "16-mixed" and not found:
        raise PipelineError(
            "params.yaml: backbone.finetune.precision: found 16-mixed, which needs a GPU. "
            "Allowed here: 32-true, bf16-mixed."
        )
    if params.tools and not (~np.isnan(training.tools)).any():
        raise PipelineError(
            f"params.yaml: backbone.finetune.tools: found {params.tools:g}, but no training video "
            "has tool labels (data/index/tools.csv). Set it to 0."
        )
