"""A folder with frames of two videos, a split and a pinned random backbone."""

import hashlib
import json

import cv2
import numpy as np

from pipeline.backbone import stage as backbone_stage
from pipeline.frame_store import write_frames

_PARAMS = """\
seed: 1
backbone: {{name: resnet18, weights: random, mode: frozen}}
features: {{precision: {precision}, dtype: {dtype}, decoder: {decoder}, crop: 64}}
runtime:
  device: {device}
  workers: {workers}
  batch: {batch}
  threads: 1
  compile: {compile}
  progress: lines
"""


def settings(
    folder,
    precision="fp32",
    dtype="float16",
    workers=1,
    batch=8,
    compile="false",
    device="cpu",
    decoder="opencv",
):
    text = _PARAMS.format(
        precision=precision,
        dtype=dtype,
        workers=workers,
        batch=batch,
        compile=compile,
        device=device,
        decoder=decoder,
    )
    (folder / "params.yaml").write_text(text)


def jpegs(count, seed, side=(75, 100)):
    generator = np.random.default_rng(seed)
    for sample in range(count):
        coarse = generator.integers(0, 255, (6, 8, 3), dtype=np.uint8)
        image = cv2.resize(coarse, side[::-1], interpolation=cv2.INTER_CUBIC)
        yield cv2.imencode(".jpg", image)[1].tobytes(), float(sample)


def add_video(folder, name, count, seed, side=(75, 100)):
    height, width = side
    attributes = {"fps": 1.0, "height": height, "width": width, "fingerprint": f"frames-of-{name}"}
    write_frames(folder / f"data/frames/{name}.h5", jpegs(count, seed, side), attributes)


def make_project(folder):
    """video0 with 21 frames is for training, video1 with 10 for testing."""
    settings(folder)
    for number, count in enumerate((21, 10)):
        add_video(folder, f"video{number}", count, number)
    (folder / "data/frames/skipped.csv").write_text("video,reason\nvideo9,zero bytes\n")
    recipe = {"fps": "1", "short_side": 75, "crop_borders": False, "quality": 95}
    recipe |= {"decoder": "pyav", "on_error": "stop", "libraries": {"av": "18.1"}, "code": "0"}
    (folder / "data/frames/recipe.json").write_text(json.dumps(recipe))
    (folder / "data/frames/masked.csv").write_text("video,lost,samples\n")
    (folder / "data/index").mkdir()
    (folder / "data/index/splits.csv").write_text("video,split\nvideo0,train\nvideo1,test\n")
    backbone_stage.run()


def hashes(folder):
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}


def forget(folder):
    """Empty the store of features."""
    for path in (folder / ".store/features").glob("*.h5"):
        path.unlink()
