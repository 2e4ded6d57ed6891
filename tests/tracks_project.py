"""A project of seven tiny videos, labelled with phases and steps that different features show."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from pipeline.checkpoint import save_checkpoint
from pipeline.feature_store import write_features
from pipeline.tables import write_table

D = 8
PHASES, STEPS = ("A", "B", "C"), ("hold", "cut")
SPLIT = {"a": "train", "b": "train", "c": "train", "d": "train", "e": "val", "f": "test"}
SPLIT |= {"g": "test"}
LENGTH = 60
# The steps begin here, alternate every five seconds and end with the video.
UNKNOWN_S = 10


def settings(tracks="[phase, step]", model="{kind: linear}", train="", more=""):
    Path("params.yaml").write_text(
        "seed: 3\ndata: {root: x, layout: csv}\nsplit: {scheme: column}\n"
        f"task: {{kind: frames, tracks: {tracks}}}\nmodel: {model}\n"
        f"train: {{epochs: 30, lr: 0.05, early_stop: 30{train}}}\n"
        "evaluate: {relaxed_seconds: 10, bootstrap: 50, map: pca}\n"
        f"runtime: {{device: cpu, threads: 1, progress: none}}\n{more}"
    )


def make_project():
    """Write the project into the current folder."""
    settings()
    runs, steps = [], []
    for seed, name in enumerate(SPLIT):
        third = LENGTH // 3 + seed  # videos differ in their phases
        starts = [0, third, 2 * third, LENGTH]
        phases = np.repeat(np.arange(3), np.diff(starts))
        step = (np.arange(LENGTH) // 5 + seed) % 2
        noise = np.random.default_rng(seed).normal(0, 0.5, (LENGTH, D))
        # Features 0 to 2 show the phase, 3 and 4 the step.
        features = 2 * np.eye(D)[phases] + 2 * np.eye(D)[3 + step] + noise
        attributes = {"video": name, "fps": 1.0, "weights_hash": "w", "fingerprint": name}
        write_features(
            Path(f"features/videos/{name}.h5"),
            features.astype(np.float16),
            np.arange(float(LENGTH)),
            attributes | {"crop": 32, "frames_fingerprint": "none"},
        )
        runs += [(name, starts[i], starts[i + 1], PHASES[i]) for i in range(3)]
        steps += [
            ("step", name, start, start + 5, STEPS[step[start]])
            for start in range(UNKNOWN_S, LENGTH, 5)
        ]
    for path, rows, columns in (
        ("splits.csv", SPLIT.items(), ["video", "split"]),
        ("labels.csv", runs, ["video", "start_s", "end_s", "phase"]),
        ("phases.csv", [(name,) for name in PHASES], ["phase"]),
        ("tracks.csv", steps, ["track", "video", "start_s", "end_s", "label"]),
        ("track_classes.csv", [("step", name) for name in STEPS], ["track", "label"]),
    ):
        write_table(pd.DataFrame(rows, columns=columns), Path("data/index") / path)
    Path("features/videos/skipped.csv").write_text("video,reason\n")
    save_checkpoint(
        Path("models/backbone.safetensors"),
        {"w": torch.zeros(1)},
        {"name": "resnet18", "weights": "random", "transform": {"crop_px": 32}},
    )
