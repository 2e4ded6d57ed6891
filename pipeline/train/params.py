"""The sections `model` and `train` of params.yaml."""

from typing import Any, Literal

from pydantic import Field

from pipeline.settings import Number, Section


class TecnoParams(Section):
    """The numbers of TeCNO; the defaults are the paper's."""

    stages: int = Field(2, ge=1)
    layers: int = Field(8, ge=1, le=14)
    maps: int = Field(32, ge=1)
    dropout: Number = Field(0.5, ge=0, lt=1)


class ModelParams(Section):
    """Which temporal network.

    Attributes:
        kind: `rnn` reads the fields below, `tecno` the section of that name.
        rnn: Its cell.
        hidden: Units per layer and direction.
        layers: Recurrent layers.
        dropout: Between the layers and before the head.
        bidirectional: Reads from the end too: better offline, not causal.
        tecno: The numbers of TeCNO.
    """

    kind: Literal["rnn", "tecno"] = "rnn"
    rnn: Literal["lstm", "gru"] = "lstm"
    hidden: int = Field(512, ge=1)
    layers: int = Field(2, ge=1)
    dropout: Number = Field(0.3, ge=0, lt=1)
    bidirectional: bool = False
    tecno: TecnoParams = TecnoParams()

    def numbers(self, features: int, phases: int) -> dict[str, Any]:
        """The arguments of the network's class for D features and C phases."""
        shape = {"features": features, "phases": phases}
        if self.kind == "tecno":
            return shape | self.tecno.model_dump()
        return shape | {
            "cell": self.rnn,
            "hidden": self.hidden,
            "layers": self.layers,
            "dropout": self.dropout,
            "bidirectional": self.bidirectional,
        }


class TrainParams(Section):
    """How it is trained.

    Attributes:
        epochs: At most.
        lr: Learning rate.
        weight_decay: Of the optimizer.
        optimizer: TeCNO's authors used adam, most recurrent recipes adamw.
        scheduler: Cosine annealing with warm restarts after 10, 30, 70, ... epochs, or constant.
        loss: Mean cross-entropy over the labelled frames, and over stages where there are several.
        class_weights: See pipeline/class_weights.py.
        clip_norm: Largest norm of the gradient.
        early_stop: Epochs without a better validation macro F1 until training ends; 0: none, all
            epochs are trained and the last weights kept.
        window: Frames per step with carried state; null: whole videos.
        batch: Videos per step, padded to the longest.
        precision: As lightning-fabric spells it.
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
