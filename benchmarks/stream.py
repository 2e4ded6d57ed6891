"""Seconds from a picture to its prediction, live, with ResNet-50 and an LSTM (untrained weights).

    python benchmarks/stream.py CLIP --minutes 3 [--fps 1 5] [--precision fp32 bf16 int8]

CLIP is repeated to the length that is wanted and played at its own pace, so that decoding it takes
its share of the processor, as a camera's pictures do. The time counts from when the picture came,
up to a picture's length before the moment that is due. The scales of int8 come from drawn images.
"""

import argparse
import tempfile
from concurrent.futures import ThreadPoolExecutor
from itertools import islice, product
from pathlib import Path

import numpy as np
import psutil
import torch
from long_video import long_video

from features import container
from pipeline import Predictor
from pipeline.checkpoint import save_checkpoint, tensors_hash
from pipeline.features.build import Plan, build_writer
from pipeline.features.params import FeaturesParams
from pipeline.features.quantise import engine
from pipeline.features.scales import scales_of
from pipeline.networks.backbones import build_backbone
from pipeline.networks.backbones.transform_record import recorded
from pipeline.networks.temporal.params import rebuilt
from pipeline.runtime import RuntimeParams, cores
from pipeline.stream.moments import as_they_pass
from pipeline.stream.newest import Newest
from pipeline.stream.sources import source_of
from pipeline.stream.tally import Tally, told


def scales(folder: Path) -> dict[str, object]:
    """Of int8, as the header of a temporal model holds them."""
    images = [container(folder / "images.h5", 32)]
    params = FeaturesParams.model_validate({"precision": "int8"})
    plan = Plan(folder / "backbone.safetensors", params, RuntimeParams(device="cpu"), images, {})
    with ThreadPoolExecutor(cores()) as pool:
        writer = build_writer(plan, torch.device("cpu"), pool, lambda line: None)
    return {"engine": engine(), "scales": scales_of(writer.encoder.network)}


def make_models(folder: Path, fps: int, precision: str) -> None:
    torch.manual_seed(0)
    built = build_backbone("resnet50")
    tensors = dict(built.network.eval().state_dict())
    described = {"name": "resnet50", "dim": built.dim, "weights": "random"}
    described |= {"transform": recorded(built.transform), "params": {"name": "resnet50"}}
    save_checkpoint(folder / "backbone.safetensors", tensors, described)
    header = {
        "frames": {"fps": fps, "short_side": 256, "decoder": "pyav"},
        "features": {"precision": precision, "dtype": "float16"},
        "backbone": described,
        "kind": "rnn",
        "model": {"rnn": "lstm", "hidden": 512, "layers": 2, "bidirectional": False},
        "dim": built.dim,
        "classes": [f"phase {number}" for number in range(7)],
        "causal": True,
        "weights_hash": tensors_hash(tensors),
        "fps": float(fps),
    }
    if precision == "int8":
        header["int8"] = [scales(folder)]
    save_checkpoint(folder / "temporal.safetensors", rebuilt(header).state_dict(), header)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--minutes", type=float, default=3)
    parser.add_argument("--fps", type=int, nargs="+", default=[1, 5])
    parser.add_argument("--precision", nargs="+", default=["fp32"])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "stream-videos")
    arguments = parser.parse_args()
    video = long_video(arguments.clip, arguments.cache, "480p", True, arguments.minutes)
    process = psutil.Process()
    columns = "precision, fps, predictions, dropped, median ms, 99th ms, longest ms, memory MB"
    print(f"| {' | '.join(columns.split(', '))} |\n{'|---' * 8}|")
    for precision, fps in product(arguments.precision, arguments.fps):
        with tempfile.TemporaryDirectory() as folder:
            make_models(Path(folder), fps, precision)
            predictor = Predictor(folder, arguments.device, batch=1)
        with predictor:
            predictor.frame(np.zeros((480, 854, 3), dtype=np.uint8), 0.0)
            predictor.restart()
            tally = Tally(predictor.classes)
            newest = Newest(source_of(str(video), None, None))
            moments = as_they_pass(newest, predictor.image_rate, None)
            lines = told(predictor, moments, tally)
            took = [line["latency_ms"] for line in islice(lines, 20)]
            before = process.memory_info().rss / 1e6
            took += [line["latency_ms"] for line in lines]
            after = process.memory_info().rss / 1e6
        print(
            f"| {precision} | {fps} | {len(took)} | {tally.dropped} | {np.median(took):.0f} | "
            f"{np.percentile(took, 99):.0f} | {max(took):.0f} | {before:.0f}, then {after:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
