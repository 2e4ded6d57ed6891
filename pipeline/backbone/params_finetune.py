"""The sections `backbone.finetune` and `backbone.adabn` of params.yaml."""

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from pipeline.settings import Number, Section

Precision = Literal["32-true", "bf16-mixed", "16-mixed"]

# Keys that only one choice reads: (key, value) of the choice, and what is read for it alone.
_READ_FOR = {
    ("strategy", "two_stage"): ("unfreeze_epoch",),
    ("strategy", "freeze_until"): ("freeze_until",),
    ("strategy", "progressive"): ("unfreeze_every",),
    ("scheduler", "plateau"): ("plateau_factor", "plateau_patience"),
    ("loss", "cross_entropy"): ("label_smoothing",),
    ("loss", "focal"): ("focal_gamma",),
}


class AugmentParams(Section):
    """What is drawn anew for each training frame in each epoch; all zero or one: nothing.

    Attributes:
        smallest_crop: Least share of the frame's area that a random crop keeps; ImageNet's 0.08
            often shows no instrument.
        flip: Probability of a horizontal flip.
        rotation_deg: Largest angle, either way.
        brightness: Factor drawn from 1 - b to 1 + b.
        contrast: Likewise, about the mean grey of the frame.
        saturation: Likewise, between the frame and its grey version.
        hue: Largest turn of the colours, as a share of the colour circle.
        erasing: Probability that a random rectangle becomes grey.
    """

    smallest_crop: Number = Field(0.5, gt=0, le=1)
    flip: Number = Field(0.5, ge=0, le=1)
    rotation_deg: Number = Field(10.0, ge=0, le=180)
    brightness: Number = Field(0.2, ge=0, lt=1)
    contrast: Number = Field(0.2, ge=0, lt=1)
    saturation: Number = Field(0.2, ge=0, lt=1)
    hue: Number = Field(0.02, ge=0, le=0.5)
    erasing: Number = Field(0.1, ge=0, le=1)


class ContextParams(Section):
    """What the backbone sees of the past while it learns: an RNN behind it joins the frames.

    Attributes:
        frames: Consecutive frames through which gradients flow.
        stride_s: Seconds from one of them to the next, a multiple of those between samples; null:
            one sample, whatever `frames.fps` is.
        rnn: The cell.
        hidden: Its units.
        carry: The RNN's state goes from one window of a video to the next; otherwise every window
            begins anew.
    """

    frames: int = Field(64, ge=2)
    stride_s: Number | None = Field(1.0, gt=0)
    rnn: Literal["lstm", "gru"] = "lstm"
    hidden: int = Field(512, ge=1)
    carry: bool = True


class FinetuneParams(Section):
    """How the backbone is trained on labelled frames of the training videos.

    Attributes:
        target: What is learnt: `phase`, or a column of videos.csv, such as experience, whose value
            then is the class of every frame of a video.
        strategy: `head`: the backbone stays as it is. `whole`: all at once. `two_stage`: the head
            alone before `unfreeze_epoch`, then all. `freeze_until`: the first blocks stay.
            `progressive`: one more block from the top every `unfreeze_every` epochs.
        unfreeze_epoch: For two_stage: the first epoch of the whole network, from 1.
        freeze_until: For freeze_until: how many blocks stay as they are. Of a ResNet, 4 are the
            stem and 5 to 8 its layers; of an EfficientNet, 9 are the parts of its `features`.
        unfreeze_every: For progressive, in epochs; the head trains alone for as many.
        head: A linear layer, or Linear 1024 - ReLU - Dropout 0.5 - Linear.
        lr: Learning rate of the head.
        backbone_lr: Rate of the backbone, as a share of `lr`.
        layer_decay: The rate of each block is that of the one above it times this.
        weight_decay: Of AdamW.
        scheduler: `plateau` multiplies the rates by `plateau_factor` after `plateau_patience`
            epochs without a lower validation loss; `cosine` falls to zero over all epochs.
        plateau_factor: See scheduler.
        plateau_patience: See scheduler.
        loss: Of the phases; focal is Lin et al. 2017 with `focal_gamma`.
        label_smoothing: Of the cross-entropy.
        focal_gamma: Of the focal loss.
        class_weights: See pipeline/training/class_weights.py.
        tools: Weight of the loss of tool presence (mean binary cross-entropy) beside that of the
            phases, for layouts with tool labels; 0: phases only.
        augment: See there.
        epochs: At most.
        frames_per_epoch: So many frames, drawn anew for each epoch; null: all.
        batch: Frames per forward pass, over all devices together.
        accumulate: Forward passes per step of the optimizer.
        precision: As lightning-fabric spells it; 16-mixed needs a GPU.
        checkpointing: Recompute activations in the backward pass: slower, far less memory.
        early_stop: Epochs without a better validation macro F1 until training ends; 0: none.
        context: The backbone learns in windows of a video, with an RNN behind it; null: from
            single frames.
    """

    target: str = Field("phase", min_length=1)
    strategy: Literal["head", "whole", "two_stage", "freeze_until", "progressive"] = "two_stage"
    unfreeze_epoch: int = Field(3, ge=2)
    freeze_until: int = Field(4, ge=1)
    unfreeze_every: int = Field(2, ge=1)
    head: Literal["linear", "mlp"] = "linear"
    lr: Number = Field(3e-4, gt=0)
    backbone_lr: Number = Field(0.1, gt=0)
    layer_decay: Number = Field(1.0, gt=0, le=1)
    weight_decay: Number = Field(1e-4, ge=0)
    scheduler: Literal["plateau", "cosine", "constant"] = "cosine"
    plateau_factor: Number = Field(0.5, gt=0, lt=1)
    plateau_patience: int = Field(3, ge=1)
    loss: Literal["cross_entropy", "focal"] = "cross_entropy"
    label_smoothing: Number = Field(0.1, ge=0, lt=1)
    focal_gamma: Number = Field(2.0, ge=0)
    class_weights: Literal["none", "inverse", "median", "effective"] = "median"
    tools: Number = Field(0.0, ge=0)
    augment: AugmentParams = AugmentParams()
    epochs: int = Field(30, ge=1)
    frames_per_epoch: int | None = Field(None, ge=1)
    batch: int = Field(32, ge=2)
    accumulate: int = Field(1, ge=1)
    precision: Precision = "32-true"
    checkpointing: bool = False
    early_stop: int = Field(10, ge=0)
    context: ContextParams | None = None

    @model_validator(mode="after")
    def _context_stands_alone(self) -> Self:
        if self.context is None:
            return self
        allowed = {"tools": 0.0, "head": "linear", "frames_per_epoch": None, "accumulate": 1}
        for key, value in allowed.items():
            if getattr(self, key) != value:
                shown = "null" if value is None else value
                raise ValueError(
                    f"{key} is {getattr(self, key)}, which a training with context does not read. "
                    f"Allowed beside context: {key}: {shown}"
                )
        if self.precision == "16-mixed":
            raise ValueError("precision is 16-mixed. Allowed beside context: 32-true, bf16-mixed")
        return self

    @model_validator(mode="after")
    def _reaches_its_stages(self) -> Self:
        if self.strategy == "two_stage" and self.unfreeze_epoch > self.epochs:
            raise ValueError(
                f"unfreeze_epoch is {self.unfreeze_epoch}, but there are {self.epochs} epochs: "
                "the backbone would never train. Lower it, or set strategy: head"
            )
        return self

    def deciding(self) -> dict[str, Any]:
        """The keys that decide the weights: those that the chosen options read.

        Without `context` where there is none, as before there was any. Without `checkpointing`,
        which spends time to save memory and changes nothing else, and without `target`: the
        classes of the frames count themselves.
        """
        unread = {"checkpointing", "target"} | ({"context"} if self.context is None else set())
        for (key, value), names in _READ_FOR.items():
            if getattr(self, key) != value:
                unread |= set(names)
        return self.model_dump(exclude=unread)


class AdabnParams(Section):
    """Whose frames, without labels, give the batch-norm statistics anew.

    Attributes:
        split: The videos: those of one split, or all. With `test` the report's figures are
            transductive: the model has seen the test videos, though not their labels.
        batch: Frames per forward pass; each is normalised with those beside it.
        frames_per_video: Evenly spaced over the video; null: all.
    """

    split: Literal["train", "val", "test", "all"] = "test"
    batch: int = Field(32, ge=2)
    frames_per_video: int | None = Field(None, ge=2)
