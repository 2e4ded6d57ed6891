"""A project whose features, labels and model are there, ready to be evaluated."""

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch

from pipeline.checkpoint import save_checkpoint
from pipeline.feature_store import write_features
from pipeline.frame_store import write_frames
from pipeline.networks.temporal.params import rebuilt
from pipeline.phases import CHOLEC80
from pipeline.tables import write_table

D = 8
MODEL = {"rnn": "lstm", "hidden": 4, "layers": 1, "dropout": 0.0, "bidirectional": False}


def write_video(name, length, weights="w"):
    """Features, and frames whose grey says which one it is."""
    values = np.random.default_rng(length).normal(size=(length, D)).astype(np.float16)
    attributes = {"video": name, "fps": 1.0, "weights_hash": weights, "fingerprint": name}
    attributes |= {"crop": 48, "frames_fingerprint": f"frames of {name}"}
    attributes |= {"backbone_parameters": 11_176_512, "backbone_flops_per_frame": 167_000_000}
    write_features(Path(f"features/videos/{name}.h5"), values, np.arange(float(length)), attributes)
    jpegs = [
        cv2.imencode(".jpg", np.full((48, 64, 3), 4 * i % 256, np.uint8))[1] for i in range(length)
    ]
    frames = [(jpeg.tobytes(), float(i)) for i, jpeg in enumerate(jpegs)]
    write_frames(
        Path(f"data/frames/{name}.h5"), frames, {"video": name, "fingerprint": f"frames of {name}"}
    )


def make_project():
    """Write the project into the current folder."""
    Path("params.yaml").write_text(
        "data: {root: /secret/place, layout: csv}\nsplit: {scheme: column}\n"
        "evaluate: {relaxed_seconds: 10, bootstrap: 200, map: pca}\nruntime: {device: cpu}\n"
    )
    splits = [("a", "train"), ("b", "test"), ("c", "test"), ("z", "test")]
    write_table(pd.DataFrame(splits, columns=["video", "split"]), Path("data/index/splits.csv"))
    write_table(pd.DataFrame({"phase": CHOLEC80}), Path("data/index/phases.csv"))
    runs = [(v, 10 * i, 10 * i + 10, CHOLEC80[i]) for v in "abc" for i in range(4)]
    table = pd.DataFrame(runs, columns=["video", "start_s", "end_s", "phase"])
    write_table(table, Path("data/index/labels.csv"))
    for name, length in (("a", 45), ("b", 41), ("c", 50)):
        write_video(name, length)
    Path("features/videos/skipped.csv").write_text("video,reason\nz,z.mp4 has zero bytes\n")
    save_checkpoint(
        Path("models/backbone.safetensors"),
        {"w": torch.zeros(1)},
        {
            **{"name": "resnet18", "weights": "random", "transform": {"crop_px": 32}},
            "params": {"name": "resnet18", "weights": "/secret/place/w.pth", "crop": None},
        },
    )
    torch.manual_seed(0)
    header = {
        **{"kind": "rnn", "model": MODEL, "dim": D, "classes": list(CHOLEC80), "causal": True},
        **{"weights_hash": "w", "fps": 1.0, "seed": 1, "train": {"lr": 0.1}, "epochs": 2},
        **{"best_epoch": 1, "classes_seen": list(CHOLEC80[:3]), "frames": {"fps": 1.0}},
    }
    weights = rebuilt(header).state_dict()
    save_checkpoint(Path("models/temporal.safetensors"), weights, header)
    Path("reports/train").mkdir(parents=True)
    Path("reports/train/history.csv").write_text(
        "epoch,lr,train_loss,val_loss,val_accuracy,val_macro_f1\n1,0.1,2.0,,,\n2,0.1,1.5,,,\n"
    )
