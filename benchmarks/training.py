"""Where the time of the temporal training goes, beside the loop that published code uses.

    python benchmarks/training.py [--rnn gru] [--kind tecno] [--epochs 10]
    python benchmarks/training.py --kind tecno --videos 40 [--frames 2000] [--published 2]

Without `--videos` on the features of the project it is run in; with it on so many made-up videos,
2,048 numbers per frame in float16, a fifth of them for validation, which are also predicted in the
end. Prints, for all epochs together, the share of the time inside the network (forward and backward
pass), in the optimizer, and in everything else. Start-up is not part of it.

`--published` trains on so many of the videos as published code does: one .npy file in float32 per
frame, read again for each step, and a smoothing loss summed up frame by frame in Python.
"""

import argparse
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from pipeline.allocator import keep_freed_memory
from pipeline.determinism import use_deterministic_kernels
from pipeline.evaluate.predict import predict
from pipeline.feature_store import read_features, write_features
from pipeline.networks.temporal import KINDS
from pipeline.networks.temporal.contract import TemporalModule
from pipeline.networks.temporal.params import read_model
from pipeline.runtime import read_runtime
from pipeline.sequences import FrameTarget, Sequence, read_split
from pipeline.settings import read_raw_section, read_section
from pipeline.tables import read_phases
from pipeline.train.loop import initial_network, train
from pipeline.train.params import TrainParams
from pipeline.training.state import StateFile

DIM, CLASSES = 2048, 7
CPU = torch.device("cpu")

spent: dict[str, float] = defaultdict(float)


def timed(what: str, call: Callable[..., Any]) -> Callable[..., Any]:
    def measured(*args: Any, **kwargs: Any) -> Any:
        started = time.perf_counter()
        try:
            return call(*args, **kwargs)
        finally:
            spent[what] += time.perf_counter() - started

    return measured


def made_up(folder: Path, videos: int, frames: int) -> list[Sequence]:
    """Videos of noise around a direction for each class, mapped from their files."""
    found = []
    classes = np.arange(frames) * CLASSES // frames
    for number in range(videos):
        noise = np.random.default_rng(number).standard_normal((frames, DIM), dtype=np.float32)
        noise[:, :CLASSES] += np.eye(CLASSES, dtype=np.float32)[classes]
        path = folder / f"{number}.h5"
        write_features(path, noise.astype(np.float16), np.arange(float(frames)), {})
        content = read_features(path)
        target = FrameTarget(classes.astype(np.int64))
        found.append(Sequence(path.stem, content.features, target, content.time_s, 1.0, "w", ""))
    return found


def measure_training(
    network: TemporalModule, training: list[Sequence], validation: list[Sequence], epochs: int
) -> None:
    changes = {"epochs": epochs, "early_stop": 0}
    params = read_section(TrainParams, "train").model_copy(update=changes)
    type(network).forward = timed("network", type(network).forward)  # type: ignore[method-assign]
    torch.Tensor.backward = timed("network", torch.Tensor.backward)  # type: ignore[method-assign]
    for optimizer in (torch.optim.AdamW, torch.optim.Adam, torch.optim.SGD):
        optimizer.step = timed("optimizer", optimizer.step)  # type: ignore[method-assign]
    clip = torch.nn.utils.clip_grad_norm_
    torch.nn.utils.clip_grad_norm_ = timed("optimizer", clip)  # type: ignore[assignment]
    # The compiler is loaded by the first step of an optimizer; that is start-up.
    torch.optim.SGD([torch.zeros(1, requires_grad=True)]).zero_grad()
    spent.clear()
    with TemporaryDirectory() as folder:
        state = StateFile(Path(folder) / "state")
        started, processor = time.perf_counter(), time.process_time()
        train(network, training, validation, params, 1, CPU, state, lambda row: None)
        total = time.perf_counter() - started
        processor = time.process_time() - processor
    print(f"{epochs} epochs  {total:6.1f} s")
    print(f"an epoch   {total / epochs:6.3f} s (processor {processor / epochs:.3f} s)")
    for what in ("network", "optimizer"):
        print(f"{what:<10} {spent[what] / total:6.1%}")
    print(f"{'the rest':<10} {1 - (spent['network'] + spent['optimizer']) / total:6.1%}")


def measure_prediction(network: TemporalModule, videos: list[Sequence]) -> None:
    network.eval()
    header = {"dim": DIM, "weights_hash": "w", "fps": 1.0}
    started = time.perf_counter()
    for video in videos:
        predict(network, header, video, CPU)
    print(f"prediction of {len(videos)} videos  {time.perf_counter() - started:.2f} s")


def measure_published(network: TemporalModule, videos: list[Sequence], folder: Path) -> None:
    """Seconds for one step, which is one video."""
    for video in videos:
        for number, row in enumerate(video.features):
            path = folder / video.video / f"{number:06d}.npy"
            path.parent.mkdir(exist_ok=True)
            np.save(path, row.astype(np.float32))
    network.train()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4)
    started = time.perf_counter()
    for video in videos:
        files = sorted((folder / video.video).glob("*.npy"))
        features = torch.from_numpy(np.stack([np.load(file) for file in files]))[None]
        outputs = network(features, torch.ones(features.shape[:2], dtype=torch.bool))
        loss = torch.zeros(())
        for logits in outputs.logits:
            loss = loss + functional.cross_entropy(logits[0], torch.from_numpy(video.labels))
            log_p = functional.log_softmax(logits[0], dim=1)
            smoothing = torch.zeros(())
            for t in range(1, len(log_p)):
                step = (log_p[t] - log_p[t - 1].detach()).square().clamp(max=16).mean()
                smoothing = smoothing + step
            loss = loss + 0.15 * smoothing / len(log_p)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    each = (time.perf_counter() - started) / len(videos)
    print(f"published way, a step  {each:.3f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", choices=KINDS)
    parser.add_argument("--rnn", choices=("lstm", "gru"))
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--videos", type=int)
    parser.add_argument("--frames", type=int, default=2000)
    parser.add_argument("--published", type=int, default=0)
    options = parser.parse_args()
    chosen = {key: getattr(options, key) for key in ("kind", "rnn") if getattr(options, key)}
    kind, model = read_model(read_raw_section("model") | chosen)
    torch.set_num_threads(read_runtime().thread_count)
    use_deterministic_kernels()
    keep_freed_memory()
    print(f"{kind} {chosen.get('rnn', '')}, {torch.get_num_threads()} threads")

    with TemporaryDirectory() as folder:
        if options.videos:
            videos = made_up(Path(folder), options.videos, options.frames)
            held_out = max(1, options.videos // 5)
            training, validation, classes = videos[held_out:], videos[:held_out], CLASSES
        else:
            training, validation = read_split("train"), read_split("val")
            classes = len(read_phases())
        network = initial_network(KINDS[kind], model, classes, training, 1)
        if options.published:
            measure_published(network, training[: options.published], Path(folder))
        measure_training(network, training, validation, options.epochs)
        if options.videos:
            measure_prediction(network, videos)


if __name__ == "__main__":
    main()
