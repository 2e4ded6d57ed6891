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
        write_video(video, number)
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


def write_video(video: str, number: int) -> None:
    """Its container; the number decides its pixels and its fingerprint."""
    samples = []
    for k in range(FRAMES):
        pixels = image(3 * k // FRAMES, 100 * number + k)
        samples.append((cv2.imencode(".png", pixels[..., ::-1])[1].tobytes(), float(k)))
    attributes = {"video": video, "fps": 1.0, "fingerprint": f"{number}"}
    attributes |= {"height": 40, "width": 60}
    write_frames(Path(f"data/frames/{video}.h5"), samples, attributes)


def add_video(video: str, split: str, number: int) -> None:
    """One more video, with the labels of the others."""
    write_video(video, number)
    rows = {"splits": [f"{video},{split}"], "labels": []}
    for i, phase in enumerate(PHASES):
        rows["labels"].append(f"{video},{i * FRAMES / 3},{(i + 1) * FRAMES / 3},{phase}")
    for name, lines in rows.items():
        table = Path(f"data/index/{name}.csv")
        table.write_text("\n".join([*table.read_text().splitlines(), *lines, ""]))


def settings(finetune=None, devices=1, workers=2, **backbone) -> None:
    """params.yaml for a small network."""
    chosen = {
        "strategy": "whole",
        "backbone_lr": 1.0,
        "lr": 1e-2,
        "epochs": 2,
        "batch": 12,
        "early_stop": 0,
    } | (finetune or {})
    params = {
        "seed": 3,
        "backbone": {"name": "tiny_cnn", "mode": "finetune", "crop": 32, "finetune": chosen}
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
