"""Features in which clusters are planted: of phases, of videos, or of neither."""

import numpy as np

from pipeline.sequences import FrameTarget, Sequence


def sequence(video, features, labels, fps=1.0):
    return Sequence(
        video=video,
        features=features.astype(np.float16),
        target=FrameTarget(np.asarray(labels, dtype=np.int64)),
        time_s=np.arange(len(features)) / fps,
        fps=fps,
        weights_hash="w",
        fingerprint=video,
    )


def videos(number, frames=120, classes=3, dim=16, by_phase=1.0, by_video=0.0, seed=0):
    """Videos whose phases follow each other in equal parts; noise of standard deviation 0.3."""
    random = np.random.default_rng(seed)
    phases = random.normal(size=(classes, dim))
    found = []
    for i in range(number):
        labels = np.arange(frames) * classes // frames
        features = by_phase * phases[labels] + by_video * random.normal(size=dim)
        features = features + 0.3 * random.normal(size=(frames, dim))
        found.append(sequence(f"video{i}", features, labels))
    return found
