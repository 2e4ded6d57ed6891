"""The section `train` of params.yaml; `model` is in pipeline/networks/temporal/params.py."""

from typing import Literal

from pydantic import Field

from pipeline.settings import Number, Section


class TrainParams(Section):
    """How the temporal network is trained.

    Attributes:
        epochs: At most, for each training phase of the network; most have one.
        lr: Learning rate.
        weight_decay: Of the optimizer.
        optimizer: TeCNO's authors used adam, most recurrent recipes adamw.
        scheduler: Cosine annealing with warm restarts after 10, 30, 70, ... epochs, or constant.
        loss: Mean cross-entropy over the labelled frames, and over refinements where there are
            several.
        class_weights: See pipeline/training/class_weights.py.
        clip_norm: Largest norm of the gradient.
        early_stop: Epochs without a better validation macro F1 until training ends; 0: none, all
            epochs are trained and the last weights kept.
        window: Frames per step with carried state; null: whole videos.
        batch: Videos per step, padded to the longest.
        precision: fp32, or bfloat16 where torch's autocast takes it, with weights in fp32.
    """

    epochs: int = Field(100, ge=1)
    lr: Number = Field(1e-4, gt=0)
    weight_decay: Number = Field(1e-5, ge=0)
    optimizer: Literal["adamw", "adam"] = "adamw"
    scheduler: Literal["cosine_restarts", "constant"] = "cosine_restarts"
    loss: Literal["cross_entropy"] = "cross_entropy"
    class_weights: Literal["none", "inverse", "median", "effective"] = "median"
    clip_norm: Number = Field(1.0, gt=0)
    early_stop: int = Field(10, ge=0)
    window: int | None = Field(None, ge=2)
    batch: int = Field(1, ge=1)
    precision: Literal["32-true", "bf16-mixed"] = "32-true"
