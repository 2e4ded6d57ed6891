"""Real skill labels and phases of Cataract-101, and features in which a skill may be planted."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from pipeline.checkpoint import save_checkpoint
from pipeline.feature_store import write_features
from pipeline.index.layouts.cataract101 import read_tables
from pipeline.tables import write_table

D = 6
FPS = 0.05
# Of every video: the skilled are quicker, so that the whole length would tell.
LENGTH = 24
_PARAMS = """\
seed: 2
data: {{root: /secret/place, layout: cataract101}}
split: {{scheme: lists}}
task: {{kind: video, target: {target}, scale: {scale}, pooling: {pooling}}}
model: {{kind: {kind}, rnn: gru, hidden: 12, layers: 1, tecno: {{layers: 4, maps: 8, dropout: 0}}}}
train: {{epochs: {epochs}, lr: 0.01, early_stop: 0, batch: 8, monitor: loss{train}}}
evaluate: {{relaxed_seconds: 10, bootstrap: 100, map: pca}}
runtime: {{device: cpu, threads: 1, progress: none}}
"""


def settings(
    target="experience", scale="nominal", pooling="attention", kind="rnn", epochs=10, train=""
):
    Path("params.yaml").write_text(
        _PARAMS.format(
            target=target, scale=scale, pooling=pooling, kind=kind, epochs=epochs, train=train
        )
    )


def make_project(labels, values=None, planted=None):
    """Write the project into the current folder: 24 videos for training, 8 for val, 16 for test.

    Args:
        labels: Folder of the dataset's tables.
        values: Further columns of videos.csv: name to values, one per video.
        planted: (V,) what a burst of five frames shows; None: nothing.
    """
    settings()
    runs, phases, details, problems = read_tables(labels)
    assert not problems
    names = sorted(runs)[:48]
    columns = {
        "surgeon": [details[name]["Surgeon"] for name in names],
        "experience": [details[name]["Experience"] for name in names],
        **(values or {}),
    }
    if planted is None:
        planted = np.zeros(len(names))
    generator = np.random.default_rng(0)
    rows = []
    for number, name in enumerate(names):
        features = generator.normal(0, 0.5, (LENGTH, D))
        start = int(generator.integers(2, LENGTH - 6))
        features[start : start + 5, 0] += 3  # says where, in every video
        features[start : start + 5, 1] += 3 * planted[number]
        attributes = {"fps": FPS, "weights_hash": "w", "fingerprint": name}
        path = Path(f"features/videos/{name}.h5")
        write_features(path, features.astype(np.float16), np.arange(LENGTH) / FPS, attributes)
        rows.append({"video": name, "path": f"{name}.mp4", "sha256": "0", "width": 1, "height": 1})
        rows[-1] |= {"fps": 25, "frames": 1, "duration_s": LENGTH / FPS, "problem": ""}
    write_table(pd.DataFrame(rows).assign(**columns), Path("data/index/videos.csv"))
    table = [(name, r.start_s, r.end_s, r.phase) for name in names for r in runs[name]]
    columns_of_labels = ["video", "start_s", "end_s", "phase"]
    write_table(pd.DataFrame(table, columns=columns_of_labels), Path("data/index/labels.csv"))
    write_table(pd.DataFrame({"phase": phases}), Path("data/index/phases.csv"))
    order = np.random.default_rng(1).permutation(len(names))
    splits = ["train" if place < 24 else "val" if place < 32 else "test" for place in order]
    write_table(pd.DataFrame({"video": names, "split": splits}), Path("data/index/splits.csv"))
    Path("features/videos/skipped.csv").write_text("video,reason\n")
    header = {"name": "resnet18", "weights": "random", "transform": {"crop_px": 32}}
    save_checkpoint(Path("models/backbone.safetensors"), {"w": torch.zeros(1)}, header)
    return names, columns


def experience(labels, number=48):
    """-1 for the lower and 1 for the higher experience of the first videos."""
    _, _, details, _ = read_tables(labels)
    return np.array([2.0 * int(details[n]["Experience"]) - 3 for n in sorted(details)[:number]])


def change_column(name, change):
    """Change a column of videos.csv: `change` takes video and split and returns the value."""
    path = Path("data/index/videos.csv")
    videos = pd.read_csv(path, dtype=str, keep_default_na=False)
    splits = pd.read_csv("data/index/splits.csv", dtype=str).set_index("video")["split"]
    old = dict(zip(videos["video"], videos[name], strict=True))
    videos[name] = [change(video, splits[video], old[video]) for video in videos["video"]]
    write_table(videos, path)
