"""The section `train` of params.yaml; `model` is in pipeline/networks/temporal/params.py."""

from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from pipeline.settings import Number, Section


class AugmentParams(Section):
    """What is drawn anew for each training video in each epoch; the defaults change nothing.

    Frames keep their labels: crop, speed and shift choose rows of features and labels together.

    Attributes:
        crop: Least share of the video that a random part keeps.
        speed: The part is played faster or slower by a factor from 1 - speed to 1 + speed; the
            nearest frame is taken.
        shift: It begins later or earlier by up to so many frames; the first or last one is
            repeated, and the length stays.
        noise: Standard deviation of Gaussian noise, in units of the standardised features.
        feature_dropout: Probability that a feature is at its mean throughout the video.
        frame_dropout: Probability that a frame has all features at their means; its label stays.
    """

    crop: Number = Field(1.0, gt=0, le=1)
    speed: Number = Field(0.0, ge=0, lt=1)
    shift: int = Field(0, ge=0)
    noise: Number = Field(0.0, ge=0)
    feature_dropout: Number = Field(0.0, ge=0, lt=1)
    frame_dropout: Number = Field(0.0, ge=0, lt=1)

    @property
    def varies(self) -> bool:
        """Whether a training video is seen as anything but what it is."""
        return self != AugmentParams()


class PhaseParams(Section):
    """What one training phase of a network has of its own; null: as all.

    Attributes:
        epochs: At most.
        lr: Learning rate.
    """

    epochs: int | None = Field(None, ge=1)
    lr: Number | None = Field(None, gt=0)


class TrainParams(Section):
    """How the temporal network is trained; docs/training.md has the same as a table.

    Attributes:
        epochs: At most, for each training phase of the network; most have one.
        lr: Learning rate, the highest one of the schedule.
        weight_decay: Of the optimizer.
        decay: What decays: all weights, or matrices alone, without biases and the scales of norms.
        optimizer: TeCNO's authors used adam, most recurrent recipes adamw; sgd has momentum 0.9.
        scheduler: See pipeline/training/rates.py.
        warmup: Epochs in which the rate rises to that of the schedule, which begins after them.
        plateau_factor: For plateau, what the rate is multiplied by.
        plateau_patience: For plateau, epochs without a lower validation loss before that.
        loss: Of the labelled frames, mean over refinements where there are several; focal is Lin et
            al. 2017.
        label_smoothing: Of the cross-entropy.
        focal_gamma: Of the focal loss.
        class_weights: See pipeline/training/class_weights.py.
        clip_norm: Largest norm of the gradient.
        early_stop: Epochs without a better value of `monitor` until training ends; 0: none, all
            epochs are trained, and without validation videos the last weights are kept.
        monitor: The value of the validation videos that chooses the best epoch.
        ema: The validated and kept weights are a moving average that keeps this share of itself in
            each step; null: the weights themselves.
        window: Frames per step with carried state; null: whole videos.
        batch: Videos per step, padded to the longest.
        buckets: Videos of similar length come into one batch, which saves padding.
        accumulate: Batches, or their windows, whose mean gradient one step takes.
        precision: fp32, or bfloat16 where torch's autocast takes it, with weights in fp32.
        augment: See there.
        seeds: One training for each, whose predictions are averaged; null: the project's seed. Each
            is the training that `seed` alone would give.
        end_to_end: The network begins with the weights of the RNN that was trained together with
            the backbone (backbone.finetune.context); otherwise with random ones.
        phases: By the name of a training phase, for networks that have several: transsvnet's are
            `tcn` and `transformer`.
    """

    epochs: int = Field(100, ge=1)
    lr: Number = Field(1e-4, gt=0)
    weight_decay: Number = Field(1e-5, ge=0)
    decay: Literal["all", "matrices"] = "all"
    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    scheduler: Literal["cosine_restarts", "cosine", "plateau", "one_cycle", "constant"] = (
        "cosine_restarts"
    )
    warmup: int = Field(0, ge=0)
    plateau_factor: Number = Field(0.5, gt=0, lt=1)
    plateau_patience: int = Field(3, ge=1)
    loss: Literal["cross_entropy", "focal"] = "cross_entropy"
    label_smoothing: Number = Field(0.0, ge=0, lt=1)
    focal_gamma: Number = Field(2.0, ge=0)
    class_weights: Literal["none", "inverse", "median", "effective"] = "median"
    clip_norm: Number = Field(1.0, gt=0)
    early_stop: int = Field(10, ge=0)
    monitor: Literal["macro_f1", "accuracy", "loss"] = "macro_f1"
    ema: Number | None = Field(None, gt=0, lt=1)
    window: int | None = Field(None, ge=2)
    batch: int = Field(1, ge=1)
    buckets: bool = False
    accumulate: int = Field(1, ge=1)
    precision: Literal["32-true", "bf16-mixed"] = "32-true"
    augment: AugmentParams = AugmentParams()
    seeds: list[int] | None = Field(None, min_length=1)
    end_to_end: bool = False
    phases: dict[str, PhaseParams] = Field({})

    # Keys that only one choice reads: (key, value) of the choice, and what is read for it alone.
    _READ_FOR: ClassVar = {
        ("scheduler", "plateau"): {"plateau_factor", "plateau_patience"},
        ("loss", "cross_entropy"): {"label_smoothing"},
        ("loss", "focal"): {"focal_gamma"},
    }
    # The keys of the first trainings. Those that came later name a result only where they are not
    # at their default, which must stay what it is: so the first results are still found.
    _FIRST: ClassVar = {
        *("epochs", "lr", "weight_decay", "optimizer", "scheduler", "loss", "class_weights"),
        *("clip_norm", "early_stop", "window", "batch", "precision"),
    }

    @model_validator(mode="after")
    def _seeds_differ(self) -> Self:
        if self.seeds is not None and len(set(self.seeds)) < len(self.seeds):
            raise ValueError(
                f"seeds: found {self.seeds}, but equal seeds give equal weights. Name each once"
            )
        return self

    @model_validator(mode="after")
    def _schedule_has_its_epochs(self) -> Self:
        fewest = min(self.of_phase(name).epochs for name in ("", *self.phases))
        if self.warmup >= fewest:
            raise ValueError(
                f"warmup is {self.warmup}, but there are {fewest} epochs: the schedule would "
                "never begin. Lower warmup, or raise epochs"
            )
        if self.scheduler == "one_cycle" and self.warmup:
            raise ValueError(
                f"warmup is {self.warmup}, but scheduler: one_cycle warms up by itself. "
                "Set warmup: 0, or scheduler: cosine"
            )
        if self.scheduler == "one_cycle" and fewest < 4:
            raise ValueError(
                f"scheduler: one_cycle needs 4 epochs to rise and fall, but there are {fewest}. "
                "Raise epochs, or set scheduler: constant"
            )
        return self

    def of_phase(self, name: str) -> Self:
        """These, with what one training phase of the network has of its own."""
        own = self.phases.get(name, PhaseParams())
        return self.model_copy(update=own.model_dump(exclude_none=True))

    def deciding(self) -> dict[str, Any]:
        """The keys that decide the weights: those that the chosen options read.

        Those of `_FIRST` always, the others only where they are not at their default. Not `seeds`,
        of which each training has its own.
        """
        unread = {"buckets", "seeds"} if self.batch == 1 else {"seeds"}
        for (key, value), names in self._READ_FOR.items():
            if getattr(self, key) != value:
                unread |= names
        later = self.model_dump(exclude_defaults=True, exclude=unread)
        return self.model_dump(include=self._FIRST) | later
