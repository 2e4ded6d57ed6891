"""Small sets of single images, as they lie on people's disks."""

from pathlib import Path

import cv2
import numpy as np
import yaml

CLASSES = ("glioma", "no_tumor", "pituitary")


def image_of(number, seed):
    """(40, 48, 3) uint8: a bright spot whose place tells the class, under noise."""
    image = np.random.default_rng(seed).integers(0, 60, (40, 48, 3)).astype(np.uint8)
    image[8:32, 4 + 14 * number : 16 + 14 * number] += 150
    return image


def write_folder(root, parts=(("Training", 12), ("val", 4), ("Testing", 5))):
    """parts: name of a folder of a split (or none), and how many images each class has in it."""
    seed = 0
    for part, count in parts:
        for number, name in enumerate(CLASSES):
            (root / part / name).mkdir(parents=True)
            for _ in range(count):
                seed += 1
                path = root / part / name / f"{name}_{seed}.{('png', 'jpg')[seed % 2]}"
                cv2.imwrite(str(path), image_of(number, seed))


def settings(layout="image_folder", **changes):
    """The params.yaml of the project's root with what images need."""
    params = yaml.safe_load((Path(__file__).parents[1] / "params.yaml").read_text())
    params["task"] = {"kind": "images"}
    params["data"] = {"root": "images", "layout": layout}
    params["split"] = {"scheme": "column"}
    params["frames"]["short_side"] = 32
    params["backbone"] |= {"name": "pixels", "weights": "random"}
    params["features"]["crop"] = 32
    params["model"]["kind"] = "linear"
    params["train"] |= {"epochs": 15, "lr": 0.01, "early_stop": 10}
    params["evaluate"]["bootstrap"] = 100
    params["runtime"] |= {"device": "cpu", "threads": 1, "workers": 1, "progress": "none"}
    for key, value in changes.items():
        section, _, name = key.partition("__")
        params[section][name] = value
    Path("params.yaml").write_text(yaml.safe_dump(params))
