"""Probabilities of the classes for every frame of a video."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from pipeline import paths
from pipeline.checkpoint import load_checkpoint
from pipeline.errors import PipelineError
from pipeline.model_pair import filled
from pipeline.networks.temporal.contract import TemporalModule
from pipeline.networks.temporal.params import rebuilt
from pipeline.postprocess.applied import processed
from pipeline.scored_video import ScoredVideo
from pipeline.sequences import Sequence


def load_model(path: Path, device: torch.device) -> tuple[TemporalModule, dict[str, Any]]:
    """The trained network, ready to predict, and its header.

    Raises:
        PipelineError: There is no such file, or it does not fit this version's networks.
    """
    tensors, header = load_checkpoint(path)
    network = rebuilt(header)
    filled(network, tensors, header["kind"], path)
    return network.eval().to(device), header


@torch.inference_mode()
def predict(
    network: TemporalModule, header: Mapping[str, Any], sequence: Sequence, device: torch.device
) -> ScoredVideo:
    """Predict a whole video at once, post-processed as the header says.

    Raises:
        PipelineError: The features come from another backbone or rate than the network's.
    """
    check_features(header, sequence)
    features = torch.from_numpy(sequence.features).float()[None].to(device)
    mask = torch.ones(features.shape[:2], dtype=torch.bool, device=device)
    outputs = network(features, mask)
    probabilities, prediction = processed(outputs.logits[-1][0], header)
    return ScoredVideo(sequence.labels, prediction, probabilities)


def check_features(header: Mapping[str, Any], sequence: Sequence) -> None:
    """Refuse features that are not those the network was trained on.

    Raises:
        PipelineError: They come from another backbone or rate.
    """
    width = header["dim"]
    found = (sequence.weights_hash, sequence.features.shape[1], sequence.fps)
    if found != (header["weights_hash"], width, header["fps"]):
        raise PipelineError(
            f"features/videos/{sequence.video}.h5: {found[1]}-d at {found[2]:g} fps from backbone "
            f"{found[0][:12]}, but {paths.TEMPORAL} was trained on {width}-d at "
            f"{header['fps']:g} fps from {header['weights_hash'][:12]}. Run `dvc repro`."
        )
