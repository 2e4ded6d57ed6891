"""A pair of untrained models that belong together, with all that their headers say."""

from pathlib import Path

import torch

from pipeline.checkpoint import save_checkpoint, tensors_hash
from pipeline.networks.backbones import build_backbone
from pipeline.networks.backbones.transform_record import recorded
from pipeline.networks.temporal.params import rebuilt

CLASSES = ("Preparation", "Clipping & <cutting>", "Cleaning, retraction")


def make_models(
    folder: Path = Path("models"), seed=0, name="shufflenet_v2_x0_5", backbone=None, **changes
):
    """Write both files.

    Args:
        folder: Where they go.
        seed: Of the weights.
        name: Of the backbone.
        backbone: More of its header.
        changes: Keys of the temporal model's header in place of those below; None: without it.
    """
    torch.manual_seed(seed)
    network = build_backbone(name)
    tensors = dict(network.network.eval().state_dict())
    described = {"name": name, "dim": network.dim, "weights": "random"}
    described |= {"transform": recorded(network.transform), "params": {"name": name}}
    save_checkpoint(folder / "backbone.safetensors", tensors, described | (backbone or {}))
    header = {
        "frames": {"fps": 1, "short_side": 32, "crop_borders": False, "quality": 95}
        | {"decoder": "pyav", "on_error": "stop"},
        "features": {"precision": "fp32", "dtype": "float16", "decoder": "opencv", "crop": 32},
        "backbone": described,
        "kind": "rnn",
        "model": {"rnn": "lstm", "hidden": 8, "layers": 1, "dropout": 0.0, "bidirectional": False},
        "dim": network.dim,
        "classes": list(CLASSES),
        "classes_seen": list(CLASSES[:2]),
        "causal": True,
        "weights_hash": tensors_hash(tensors),
        "fps": 1.0,
        "seed": 1,
        "train": {"lr": 0.1},
        "epochs": 2,
        "best_epoch": 1,
    } | changes
    header = {key: value for key, value in header.items() if value is not None}
    temporal = rebuilt(header)
    if network.clip_frames is None:
        with torch.inference_mode():
            images = network.transform.normalise(torch.randint(256, (8, 3, 32, 32)).byte())
            features = network.network(images)
        # Those of untrained weights hardly differ without it.
        temporal.standardise.fit(features.mean(dim=0), features.std(dim=0))
    weights = temporal.state_dict()
    if "head.weight" in weights:
        weights["head.weight"] *= 8
    save_checkpoint(folder / "temporal.safetensors", weights, header)
