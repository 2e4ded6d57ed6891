"""A project made by the stages themselves from two real videos: one to train on, one to test."""

import json
from pathlib import Path

import pandas as pd

from pipeline.backbone import stage as backbone_stage
from pipeline.features import stage as features_stage
from pipeline.frames import stage as frames_stage
from pipeline.result_store import file_hash
from pipeline.tables import write_table
from pipeline.train import stage as train_stage

PHASES = ("Preparation", "Clipping & <cutting>", "Cleaning, retraction")
SETTINGS = {
    "seed": 1,
    "data": {"layout": "csv"},
    "split": {"scheme": "column"},
    "frames": {"fps": 0.125, "short_side": 64},
    "backbone": {"name": "resnet18", "weights": "random", "mode": "frozen"},
    "features": {"precision": "fp32", "dtype": "float16", "crop": 48},
    "model": {"kind": "rnn", "hidden": 8, "layers": 1, "dropout": 0.0},
    "train": {"epochs": 2, "lr": 0.01, "early_stop": 0},
    "evaluate": {"relaxed_seconds": 10, "bootstrap": 20, "map": "pca"},
    "runtime": {"device": "cpu", "threads": 1, "workers": 1, "batch": 16, "progress": "none"},
}


def make_project(videos: Path, **changes):
    """Run the stages in the current folder on video01 and video02.

    Args:
        videos: Where the videos are.
        changes: Sections whose values take the place of those above.
    """
    settings = SETTINGS | {"data": {"root": str(videos), "layout": "csv"}}
    for section, values in changes.items():
        settings[section] = settings[section] | values
    Path("params.yaml").write_text(json.dumps(settings))
    index(videos)
    frames_stage.run()
    backbone_stage.run()
    features_stage.run()
    train_stage.run()


def index(videos):
    rows, runs = [], []
    for name, length_s in (("video01", 219), ("video02", 133)):
        path = videos / f"{name}.mp4"
        rows.append((name, path.name, file_hash(path), 320, 200, 25, 25 * length_s, length_s, ""))
        third = length_s / 3
        runs += [(name, i * third, (i + 1) * third, phase) for i, phase in enumerate(PHASES)]
    columns = ["video", "path", "sha256", "width", "height"]
    columns += ["fps", "frames", "duration_s", "problem"]
    tables = {
        "videos": pd.DataFrame(rows, columns=columns),
        "labels": pd.DataFrame(runs, columns=["video", "start_s", "end_s", "phase"]),
        "splits": pd.DataFrame(
            [("video01", "train"), ("video02", "test")], columns=["video", "split"]
        ),
        "phases": pd.DataFrame({"phase": PHASES}),
    }
    for name, table in tables.items():
        write_table(table, Path(f"data/index/{name}.csv"))
