"""The section `model` of params.yaml, put together from the kinds, and networks made from it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, cast

import torch
from pydantic import create_model

from pipeline.errors import PipelineError
from pipeline.networks.temporal import KINDS
from pipeline.networks.temporal.contract import Kind, Outputs, TemporalModule
from pipeline.networks.temporal.ensemble import Ensemble
from pipeline.networks.temporal.refined_track_heads import chain_of, kind_of_tracks
from pipeline.networks.temporal.video_head import KindOfVideos
from pipeline.settings import PARAMS, Section, check_section, read_raw_section

# The recurrent networks were first: their numbers stand directly below `model`, those of every
# other kind in a section of its name.
_FLAT = "rnn"
_FlatParams = KINDS[_FLAT].Params

_CHOICE: dict[str, Any] = {
    "kind": (Literal[tuple(KINDS)], _FLAT),
    "causal": (bool | None, None),
}
_SECTIONS: dict[str, Any] = {
    name: (kind.Params, kind.Params()) for name, kind in KINDS.items() if name != _FLAT
}
_BASES = (_FlatParams, create_model("Choice", __base__=Section, **_CHOICE))
ModelParams = cast(type[Section], create_model("ModelParams", __base__=_BASES, **_SECTIONS))
"""`kind`, `causal`, the numbers of rnn, and a section for every other kind.

`causal: true` takes the causal form of a kind that has two and refuses networks that see the
future; `false` takes the other form; null leaves it to the key `causal` of the kind.
"""


def read_model(raw: Mapping[str, Any] | None = None, path: Path = PARAMS) -> tuple[str, Section]:
    """The kind of temporal network, and the parameters of that kind alone.

    Args:
        raw: The section as it stands in params.yaml; None: read it.
        path: Of params.yaml.

    Raises:
        PipelineError: The section is missing, or has an unknown key or an impossible value, also
            in the section of a kind that is not chosen; or `causal: true` stands beside a network
            that sees the future.
    """
    found = read_raw_section("model", path) if raw is None else raw
    values = dict(check_section(ModelParams, "model", found, path))
    kind = values["kind"]
    if kind == _FLAT:
        params = _FlatParams(**{name: values[name] for name in _FlatParams.model_fields})
    else:
        params = values[kind]
    if values["causal"] is None:
        return kind, params
    params = _in_form(params, values["causal"])
    if values["causal"]:
        _check_causal(kind, params, path)
    return kind, params


def _in_form(params: Section, causal: bool) -> Section:
    """The parameters of this form, of a kind that has two; others as they are."""
    if "causal" not in type(params).model_fields:
        return params
    return params.model_copy(update={"causal": causal})


def _check_causal(kind: str, params: Section, path: Path) -> None:
    if _on_meta(kind, params).causal:
        return
    if kind == _FLAT:
        raise PipelineError(
            f"{path}: model.causal: found true, but model.bidirectional: true reads a video from "
            "its end too. Set model.bidirectional: false"
        )
    able = (name for name in KINDS if _on_meta(name, _in_form(KINDS[name].Params(), True)).causal)
    raise PipelineError(
        f"{path}: model.causal: found true, but model.kind: {kind} sees the future. Allowed with "
        f"it: {', '.join(able)}"
    )


def _on_meta(kind: str, params: Section) -> TemporalModule:
    """The network without memory and numbers."""
    with torch.device("meta"):
        return KINDS[kind].build(1, 2, params)


def check_window(kind: str, params: Section, window: int | None, path: Path = PARAMS) -> None:
    """Refuse `train.window` for networks that cannot be trained so.

    Raises:
        PipelineError: There is a window, and the network carries no state from one to the next.
    """
    if window is None:
        return
    if _on_meta(kind, params).trains_in_windows:
        return
    if kind == _FLAT:
        raise PipelineError(
            f"{path}: train.window is {window}, but a network that looks into the future needs the "
            "whole video. Set train.window: null or model.bidirectional: false"
        )
    raise PipelineError(
        f"{path}: train.window is {window}, but model.kind: {kind} is trained on whole videos. "
        "Set train.window: null"
    )


def check_sees_single_frames(kind: str, params: Section, path: Path = PARAMS) -> None:
    """Refuse networks that look beyond the frame, for data sets of single images.

    Raises:
        PipelineError: The network sees other frames.
    """
    if _sees_single_frames(kind, params):
        return
    allowed = [name for name, module in KINDS.items() if _sees_single_frames(name, module.Params())]
    raise PipelineError(
        f"{path}: model.kind: found {kind}, which reads frames in their order, but images have "
        f"none (task.kind: images). Allowed: {', '.join(allowed)}."
    )


def _sees_single_frames(kind: str, params: Section) -> bool:
    with torch.device("meta"):
        return KINDS[kind].build(2, 2, params).receptive_field == 1


def check_tracks(kind: str, params: Section, tracks: Sequence[str], path: Path = PARAMS) -> None:
    """Refuse networks whose outputs cannot be cut into tracks.

    Raises:
        PipelineError: There are several tracks, and what the network reads of its own predictions
            cannot be told apart by track.
    """
    if len(tracks) < 2 or _takes_tracks(kind, params):
        return
    allowed = [name for name, module in KINDS.items() if _takes_tracks(name, module.Params())]
    raise PipelineError(
        f"{path}: task.tracks: found {', '.join(tracks)}, but model.kind: {kind} mixes the logits "
        f"of all tracks. Allowed with several tracks: {', '.join(allowed)}."
    )


def _takes_tracks(kind: str, params: Section) -> bool:
    """Whether a linear layer predicts, and only refinements that can be told apart read that."""
    network = KINDS[kind].build(2, 2, params)
    number = _predictions(network)
    return len(network.training_phases) == 1 and number in (1, len(chain_of(network)))


def has_refinements(kind: str, params: Section) -> bool:
    """Whether parts of the network read what others predict."""
    return _predictions(KINDS[kind].build(2, 2, params)) > 1


def _predictions(network: TemporalModule) -> int:
    """How often a network of two features predicts: once, and once more in each refinement."""
    outputs: Outputs = network.eval()(torch.zeros(1, 2, 2), torch.ones(1, 2, dtype=torch.bool))
    return len(outputs.logits)


def rebuilt(header: Mapping[str, Any]) -> TemporalModule:
    """The network, without its weights, that a header of models/temporal.safetensors describes.

    An Ensemble where the file holds several trained networks; its weights lie in the file as the
    network names them.
    """
    kind = KINDS[header["kind"]]
    params = kind.Params.model_validate(header["model"])
    task = header.get("task", {"kind": "frames"})
    built: Kind = kind
    if task["kind"] == "video":
        built = KindOfVideos(kind, task["pooling"])
    elif "tracks" in header:
        further = tuple(len(header["tracks"][name]) for name in task["tracks"][1:])
        built = kind_of_tracks(kind, further, has_refinements(header["kind"], params))

    def build() -> TemporalModule:
        # A number is one output.
        return built.build(header["dim"], len(header["classes"]) or 1, params)

    return Ensemble([build() for _ in header["members"]]) if "members" in header else build()
