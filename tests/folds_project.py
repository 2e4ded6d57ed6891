"""A project of six tiny videos with features and labels, to be cross-validated."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from pipeline.checkpoint import save_checkpoint
from pipeline.feature_store import write_features
from pipeline.index.layouts.dataset import Dataset
from pipeline.index.params import SplitParams
from pipeline.index.splits import splits_of
from pipeline.tables import write_table

VIDEOS = "abcdef"
PHASES = ("A", "B", "C")
D = 8
FOLDS = 3


def settings(fold=None, seeds=None, seed=3, epochs=3):
    """Write params.yaml, and splits.csv as the index stage would."""
    split = {"scheme": "kfold", "folds": FOLDS, "val_share": 0.25, "fold": fold}
    shown = ", ".join(f"{key}: {'null' if v is None else v}" for key, v in split.items())
    Path("params.yaml").write_text(
        f"seed: {seed}\ndata: {{root: x, layout: csv}}\nsplit: {{{shown}}}\n"
        "model: {kind: rnn, hidden: 4, layers: 1, dropout: 0.0}\n"
        f"train: {{epochs: {epochs}, lr: 0.05, early_stop: {epochs}, "
        f"seeds: {'null' if seeds is None else seeds}}}\n"
        "evaluate: {relaxed_seconds: 10, bootstrap: 50, map: pca}\n"
        "runtime: {device: cpu, threads: 1, progress: none}\n"
    )
    dataset = Dataset({name: Path(name) for name in VIDEOS})
    rows = [
        {"fold": number, "video": video, "split": name}
        for number, own in splits_of(SplitParams(**split), dataset, 3).items()
        for video, name in own.items()
    ]
    table = pd.DataFrame(rows)
    write_table(
        table if fold is None else table.drop(columns="fold"), Path("data/index/splits.csv")
    )


def make_project():
    """Write the project into the current folder."""
    settings()
    runs = []
    for number, name in enumerate(VIDEOS):
        length = 24 + 3 * number
        labels = np.arange(length) * 3 // length
        noise = np.random.default_rng(number).normal(size=(length, D))
        attributes = {"video": name, "fps": 1.0, "weights_hash": "w", "fingerprint": name}
        write_features(
            Path(f"features/videos/{name}.h5"),
            (np.eye(3, D)[labels] + noise).astype(np.float16),
            np.arange(float(length)),
            attributes | {"crop": 32, "frames_fingerprint": "none"},
        )
        edges = np.flatnonzero(np.diff(labels, prepend=-1, append=3))
        runs += [(name, edges[i], edges[i + 1], PHASES[i]) for i in range(3)]
    write_table(
        pd.DataFrame(runs, columns=["video", "start_s", "end_s", "phase"]),
        Path("data/index/labels.csv"),
    )
    write_table(pd.DataFrame({"phase": PHASES}), Path("data/index/phases.csv"))
    Path("features/videos/skipped.csv").write_text("video,reason\n")
    save_checkpoint(
        Path("models/backbone.safetensors"),
        {"w": torch.zeros(1)},
        {"name": "resnet18", "weights": "random", "transform": {"crop_px": 32}},
    )
