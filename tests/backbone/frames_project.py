"""A project with drawn frames and labels: what the backbone stage needs to learn something."""

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import yaml

from pipeline.frame_store import write_frames
from pipeline.tables import write_table

PHASES = ("A", "B", "C")
SPLITS = {"a": "train", "b": "train", "c": "val", "d": "test"}
FRAMES = 18  # per video, a third of each phase


def image(phase: int, seed: int) -> np.ndarray:
    """A bright square whose place tells the phase, somewhere in its third, under noise."""
    generator = np.random.default_rng(seed)
    picture = generator.normal(90, 25, (40, 60, 3))
    top, left = generator.integers(2, 26), 20 * phase + generator.integers(0, 8)
    picture[top : top + 12, left : left + 12] += 110
    return picture.clip(0, 255).astype(np.uint8)


def make_project(finetune=None, tools=False, **backbone) -> None:
    """Containers, tables and params.yaml below the current folder."""
    for number, video in enumerate(SPLITS):
        samples = []
        for k in range(FRAMES):
            pixels = image(3 * k // FRAMES, 100 * number + k)
            samples.append((cv2.imencode(".png", pixels[..., ::-1])[1].tobytes(), float(k)))
        attributes = {"video": video, "fps": 1.0, "fingerprint": f"{number}"}
        write_frames(Path(f"data/frames/{video}.h5"), samples, attributes)
    Path("data/frames/skipped.csv").write_text("video,reason\n")
    Path("data/frames/recipe.json").write_text('{"fps": "1", "short_side": 40}\n')
    splits = pd.DataFrame(SPLITS.items(), columns=["video", "split"])
    index = Path("data/index")
    write_table(splits, index / "splits.csv")
    edges = [0, FRAMES / 3, 2 * FRAMES / 3, FRAMES]
    labels = [(v, edges[i], edges[i + 1], PHASES[i]) for v in SPLITS for i in range(3)]
    write_table(
        pd.DataFrame(labels, columns=["video", "start_s", "end_s", "phase"]), index / "labels.csv"
    )
    write_table(pd.DataFrame({"phase": PHASES}), index / "phases.csv")
    rows = [(v, float(k), int(k < 9), int(k % 2)) for v in SPLITS for k in range(FRAMES - 2)]
    columns = ["video", "time_s", "Hook", "Clip"]
    if not tools:
        rows, columns = [], columns[:2]
    write_table(pd.DataFrame(rows, columns=columns), index / "tools.csv")
    settings(finetune, **backbone)


def settings(finetune=None, devices=1, workers=2, **backbone) -> None:
    """params.yaml for a small network."""
    chosen = {
        "strategy": "whole",
        "backbone_lr": 1.0,
        "lr": 1e-3,
        "epochs": 2,
        "batch": 12,
        "early_stop": 0,
    } | (finetune or {})
    params = {
        "seed": 3,
        "backbone": {"name": "resnet18", "mode": "finetune", "crop": 32, "finetune": chosen}
        | backbone,
        "runtime": {
            "device": "cpu",
            "devices": devices,
            "workers": workers,
            "threads": 1,
            "progress": "none",
        },
    }
    Path("params.yaml").write_text(yaml.safe_dump(params))
