"""A project whose two models belong together and to its frames, ready to be explained."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import scored_project
import torch
from features_project import jpegs

from pipeline.checkpoint import load_checkpoint, save_checkpoint, tensors_hash
from pipeline.feature_store import write_features
from pipeline.frame_store import FrameFile, write_frames
from pipeline.networks.backbones import build_backbone
from pipeline.networks.temporal.params import rebuilt
from pipeline.tables import write_table

CROP = 64


def make_project():
    """Write the project into the current folder: a trains, b and c test, 41 and 50 frames."""
    scored_project.make_project()
    write_table(
        pd.DataFrame(
            [(name, f"videos/{name}.mp4", "0", 100, 75, 25, 1000, 50, "") for name in "abcz"],
            columns=[
                *("video", "path", "sha256", "width", "height"),
                *("fps", "frames", "duration_s", "problem"),
            ],
        ),
        Path("data/index/videos.csv"),
    )
    torch.manual_seed(0)
    backbone = build_backbone("resnet18")
    backbone.network.eval()
    tensors = dict(backbone.network.state_dict())
    _, header = load_checkpoint(Path("models/backbone.safetensors"))
    header |= {"name": "resnet18", "transform": asdict(backbone.transform)}
    save_checkpoint(Path("models/backbone.safetensors"), tensors, header)
    weights = tensors_hash(tensors)
    for name, length in (("a", 45), ("b", 41), ("c", 50)):
        write_video(name, length, backbone, weights)
    _, header = load_checkpoint(Path("models/temporal.safetensors"))
    header |= {"dim": backbone.dim, "weights_hash": weights}
    save_checkpoint(Path("models/temporal.safetensors"), rebuilt(header).state_dict(), header)


def write_video(name, length, backbone, weights):
    """Frames of a video and the features of the backbone."""
    frames = Path(f"data/frames/{name}.h5")
    write_frames(
        frames, jpegs(length, seed=length), {"video": name, "fingerprint": f"frames of {name}"}
    )
    transform = backbone.transform.cropped(CROP)
    with FrameFile(frames) as container, torch.inference_mode():
        images = torch.from_numpy(np.stack([container.image(i) for i in range(length)]))
        prepared = transform.prepare(images.permute(0, 3, 1, 2))
        features = backbone.network(transform.normalise(prepared)).numpy().astype(np.float16)
    attributes = {"video": name, "fps": 1.0, "weights_hash": weights, "fingerprint": name}
    attributes |= {"crop": CROP, "frames_fingerprint": f"frames of {name}"}
    attributes |= {"backbone_parameters": 11_176_512, "backbone_flops_per_frame": 167_000_000}
    times = np.arange(float(length))
    write_features(Path(f"features/videos/{name}.h5"), features, times, attributes)
