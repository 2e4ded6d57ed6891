"""The weights with which a temporal network goes on that was trained together with the backbone."""

from pathlib import Path
from typing import Any

from pipeline.checkpoint import load_checkpoint
from pipeline.errors import PipelineError
from pipeline.networks.temporal.contract import TemporalModule
from pipeline.paths import BACKBONE_RECURRENT
from pipeline.settings import Section


def begin_from_backbone(
    network: TemporalModule,
    kind: str,
    model: Section,
    weights_hash: str,
    path: Path = BACKBONE_RECURRENT,
) -> None:
    """Give the network the weights of the RNN that the backbone stage left.

    They come with the standardisation they were trained with, which is none.

    Args:
        network: As `model` describes it.
        kind: `model.kind`.
        model: Its parameters.
        weights_hash: Of the backbone that made the features.
        path: Of the RNN's file.

    Raises:
        PipelineError: The backbone was not trained with context, the network is another one than
            the RNN, or the features are of another backbone.
    """
    if not path.is_file():
        raise PipelineError(
            "params.yaml: train.end_to_end: found true, but the backbone was trained without a "
            "temporal network. Set backbone.mode: finetune and backbone.finetune.context, or "
            "train.end_to_end: false."
        )
    tensors, header = load_checkpoint(path)
    wanted: dict[str, Any] = {"kind": "rnn"}  # first: other kinds lack the other keys
    wanted |= {key: header[key] for key in ("rnn", "hidden", "layers")}
    wanted |= {"bidirectional": False, "attention": False}
    for key, value in wanted.items():
        found = kind if key == "kind" else getattr(model, key)
        if found != value:
            raise PipelineError(
                f"params.yaml: model.{key}: found {found}, but train.end_to_end goes on with the "
                f"RNN of backbone.finetune.context, which has {value}. Set model.{key}: "
                f"{str(value).lower()}, or train.end_to_end: false."
            )
    if header["num_classes"] != network.num_classes or header["weights_hash"] != weights_hash:
        raise PipelineError(
            f"{path}: trained with another backbone or for other classes than features/videos and "
            "data/index/phases.csv hold. Set backbone.finetune.target: phase and run `dvc repro`."
        )
    network.load_state_dict(tensors)
