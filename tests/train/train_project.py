"""A folder in which a small network can be trained, and what its training left."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.checkpoint import load_checkpoint
from pipeline.feature_store import write_features
from pipeline.networks.temporal.params import rebuilt
from pipeline.tables import write_table

D = 12

PHASES = ("A", "B", "C")

PARAMS = """\
seed: 3
model: {{kind: {kind}, hidden: 16, tecno: {{stages: 2, layers: 4, maps: 8, dropout: 0.1}}}}
train: {{epochs: {epochs}, lr: 0.01, early_stop: {early_stop}, batch: {batch}, window: {window}}}
runtime: {{device: cpu, threads: 1, progress: lines}}
"""


def settings(kind="rnn", epochs=12, early_stop=5, batch=1, window="null", more=""):
    text = PARAMS.format(
        kind=kind, epochs=epochs, early_stop=early_stop, batch=batch, window=window
    )
    Path("params.yaml").write_text(text + more)


def video(seed, length):
    """Features in which each phase has a direction of its own, under noise."""
    generator = np.random.default_rng(seed)
    labels = np.repeat(np.arange(3), [length // 3, length // 3, length - 2 * (length // 3)])
    noise = generator.normal(0, 1.0, (length, D))
    return (2 * np.eye(3, D)[labels] + noise).astype(np.float16), labels


def add_video(name, seed, length, weights="w" * 64, width=D, recipe=None):
    features, _ = video(seed, length)
    attributes = {"video": name, "fps": 1.0, "weights_hash": weights, "fingerprint": f"{seed}"}
    if recipe is not None:
        attributes["recipe"] = json.dumps(recipe)
    write_features(
        Path(f"features/videos/{name}.h5"),
        features[:, :width],
        np.arange(float(length)),
        attributes,
    )


def make_project():
    """Features, labels and splits of five videos, three of them for training."""
    settings()
    splits = {"a": "train", "b": "train", "c": "train", "d": "val", "e": "test"}
    labels = []
    for seed, name in enumerate(splits):
        length = 30 + 6 * seed
        add_video(name, seed, length)
        edges = [0, length // 3, 2 * (length // 3), length]
        labels += [(name, edges[i], edges[i + 1], PHASES[i]) for i in range(3)]
    write_table(
        pd.DataFrame(splits.items(), columns=["video", "split"]), Path("data/index/splits.csv")
    )
    frame = pd.DataFrame(labels, columns=["video", "start_s", "end_s", "phase"])
    write_table(frame, Path("data/index/labels.csv"))
    write_table(pd.DataFrame({"phase": PHASES}), Path("data/index/phases.csv"))
    Path("features/videos/skipped.csv").write_text("video,reason\n")


def outputs():
    files = [Path("models/temporal.safetensors"), *Path("reports/train").rglob("*")]
    return {
        str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(files) if p.is_file()
    }


def kept_network():
    tensors, header = load_checkpoint(Path("models/temporal.safetensors"))
    network = rebuilt(header)
    network.load_state_dict(tensors)
    return network.eval(), header


def forget():
    for path in Path(".store/train").glob("*.safetensors"):
        path.unlink()
