"""What decides the features of a video, and so names them in the store."""

from collections.abc import Sequence
from dataclasses import asdict
from types import ModuleType
from typing import Any

from pipeline import determinism
from pipeline.clips import Clips
from pipeline.code_identity import code_hash, library_versions
from pipeline.feature_store import FORMAT_VERSION
from pipeline.features import (
    encode,
    encode_clips,
    precision,
    quantisation_frames,
    quantise,
    rows,
    views,
)
from pipeline.features.params import FeaturesParams
from pipeline.networks.backbones import libraries_of, modules_of
from pipeline.networks.backbones.transform import Transform
from pipeline.networks.backbones.transform_record import code_of, recorded
from pipeline.result_store import fingerprint

LIBRARIES = ("torch", "torchvision", "opencv-python-headless")
# From the bytes of JPEG files to the rows of a features file. How they are read and written, where
# they run, and the other families of backbones decide nothing.
CODE = (determinism, encode, precision, quantisation_frames, quantise, rows)


def parts_of_all(
    name: str,
    weights_hash: str,
    transform: Transform,
    params: FeaturesParams,
    quantisation: Sequence[str],
    clips: Clips | None = None,
) -> dict[str, Any]:
    """What decides the features of every video, apart from its frames.

    Args:
        name: Of the backbone.
        weights_hash: Of its tensors.
        transform: After the crop.
        params: The section `features`; its crop counts by the transform.
        quantisation: Fingerprints of the frames that int8 takes its scales from.
        clips: Which frames make a sample's clip; None where a sample is one frame.
    """
    code: tuple[ModuleType, ...] = (*CODE, *modules_of(name), code_of(transform))
    if params.tta != "none":
        code = (*code, views)
    of_clips: dict[str, Any] = {}
    if clips is not None:
        code = (*code, encode_clips)
        of_clips["clips"] = asdict(clips)
    return {
        "backbone": name,
        "weights": weights_hash,
        "transform": recorded(transform),
        "params": params.deciding(),
        "quantisation": list(quantisation),
        "libraries": library_versions(*LIBRARIES, *libraries_of(name)),
        "code": code_hash(*code),
        "format": FORMAT_VERSION,
    } | of_clips


def features_fingerprint(frames: str, parts: dict[str, Any]) -> str:
    """The name of one video's features.

    Args:
        frames: Fingerprint of its frames.
        parts: From parts_of_all.
    """
    return fingerprint(frames=frames, **parts)
