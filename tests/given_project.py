"""A data set of features without videos, in the layout of MS-TCN."""

from pathlib import Path

import numpy as np
import yaml

CLASSES = ("background", "take", "cut")
FPS = 15
D = 10


def labels_of(seed, length=60):
    """Names of classes, in runs of random length."""
    generator = np.random.default_rng(seed)
    runs = np.repeat(generator.permutation(3), [20, 15 + seed % 5, length])[:length]
    return [CLASSES[number] for number in runs]


def features_of(labels, seed):
    """(D, T) float32 in which each class has a direction of its own, under noise."""
    numbers = [CLASSES.index(label) for label in labels]
    noise = np.random.default_rng(seed).normal(0, 0.5, (D, len(labels)))
    return (4 * np.eye(D)[:, numbers] + noise).astype(np.float32)


def write_dataset(folder, videos=6, train=4):
    """Features, labels, mapping and one bundle; the last videos are for testing."""
    for name in ("features", "groundTruth", "splits"):
        (folder / name).mkdir(parents=True)
    names = [f"S{number}" for number in range(videos)]
    for seed, name in enumerate(names):
        labels = labels_of(seed)
        np.save(folder / f"features/{name}.npy", features_of(labels, seed))
        (folder / f"groundTruth/{name}.txt").write_text("\n".join(labels) + "\n")
    mapping = "".join(f"{number} {name}\n" for number, name in enumerate(CLASSES))
    (folder / "mapping.txt").write_text(mapping)
    for split, listed in (("train", names[:train]), ("test", names[train:])):
        lines = "".join(f"{name}.txt\n" for name in listed)
        (folder / f"splits/{split}.split1.bundle").write_text(lines)
    return names


def settings(**changes):
    """The params.yaml of the project's root with what this data set needs."""
    params = yaml.safe_load((Path(__file__).parents[1] / "params.yaml").read_text())
    params["data"] = {"root": "given", "layout": "mstcn", "fps": FPS}
    params["split"] = {"scheme": "bundles", "bundle": 1, "val_share": 0.25}
    params["frames"]["fps"] = FPS
    params["features"]["dtype"] = "float32"
    params["model"]["kind"] = "linear"
    params["train"] |= {"epochs": 20, "lr": 0.05, "early_stop": 10}
    params["evaluate"]["bootstrap"] = 50
    params["runtime"] |= {"device": "cpu", "threads": 1, "progress": "none"}
    for key, value in changes.items():
        section, _, name = key.partition("__")
        params[section][name] = value
    Path("params.yaml").write_text(yaml.safe_dump(params))
