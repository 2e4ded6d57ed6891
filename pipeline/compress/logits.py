"""What the temporal model made of the teacher's features, for a student that learns that too."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import kl_div, log_softmax

from pipeline import paths
from pipeline.compress.examples import Examples, Teacher
from pipeline.evaluate.predict import load_model

TEMPERATURE = 4.0


def read_logits(
    examples: Examples, teacher: Teacher, device: torch.device
) -> tuple[NDArray[np.float32], ...] | None:
    """Logits of every sample of the training videos, (T, C) of each; None without a fitting model.

    The model sees whole videos, as in training. What it knows from the time around a frame the
    student cannot learn from the frame alone, and fits as far as it can.

    Args:
        examples: Frames and features.
        teacher: Whose features models/temporal.safetensors must have been trained on.
        device: Where it runs.
    """
    if not paths.TEMPORAL.is_file():
        return None
    network, header = load_model(paths.TEMPORAL, device)
    if (header["weights_hash"], header["dim"]) != (teacher.weights_hash, examples.dim):
        return None
    found = []
    with torch.inference_mode():
        for features in examples.features:
            whole = torch.from_numpy(np.asarray(features)).float()[None].to(device)
            mask = torch.ones(whole.shape[:2], dtype=torch.bool, device=device)
            found.append(network(whole, mask).logits[-1][0].float().cpu().numpy())
    return tuple(found)


def logits_loss(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """How far the student's classes are from the teacher's, both softened (Hinton et al., 2015).

    Args:
        student: (B, C) logits.
        teacher: (B, C) logits.

    Returns:
        Kullback-Leibler divergence at TEMPERATURE, mean over frames, times its square, by which
        the gradients keep the size that they have without it.
    """
    wanted = log_softmax(teacher / TEMPERATURE, dim=1)
    found = log_softmax(student / TEMPERATURE, dim=1)
    divergence = kl_div(found, wanted, reduction="batchmean", log_target=True)
    return divergence * TEMPERATURE**2
