"""Probabilities of the phases for every frame of a video."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.checkpoint import load_checkpoint
from pipeline.errors import PipelineError
from pipeline.networks.temporal import TemporalNetwork, build_temporal
from pipeline.segments import Labels
from pipeline.sequences import Sequence


@dataclass(frozen=True)
class Prediction:
    """One video's phases.

    Attributes:
        sequence: The video, with its true labels.
        probabilities: (T, C) float32, rows sum to 1.
    """

    sequence: Sequence
    probabilities: NDArray[np.float32]

    @property
    def labels(self) -> Labels:
        """(T,) the likeliest class of each frame."""
        return np.asarray(self.probabilities.argmax(axis=1), dtype=np.int64)


def load_model(path: Path, device: torch.device) -> tuple[TemporalNetwork, dict[str, Any]]:
    """The trained network, ready to predict, and its header."""
    tensors, header = load_checkpoint(path)
    network = build_temporal(header["kind"], header["numbers"])
    network.load_state_dict(tensors)
    return network.eval().to(device), header


@torch.inference_mode()
def predict(
    network: TemporalNetwork, header: dict[str, Any], sequence: Sequence, device: torch.device
) -> Prediction:
    """Predict a whole video at once.

    Raises:
        PipelineError: The features come from another backbone or rate than the network's.
    """
    width = header["numbers"]["features"]
    found = (sequence.weights_hash, sequence.features.shape[1], sequence.fps)
    if found != (header["weights_hash"], width, header["fps"]):
        raise PipelineError(
            f"features/{sequence.video}.h5: {found[1]}-d at {found[2]:g} fps from backbone "
            f"{found[0][:12]}, but models/temporal.safetensors was trained on {width}-d at "
            f"{header['fps']:g} fps from {header['weights_hash'][:12]}. Run `dvc repro`."
        )
    features = torch.from_numpy(sequence.features).float()[None].to(device)
    mask = torch.ones(features.shape[:2], dtype=torch.bool, device=device)
    logits, _ = network(features, mask)
    return Prediction(sequence, logits[-1][0].float().softmax(dim=1).cpu().numpy())
