"""Where the time of the temporal training goes, on the features of the project it is run in.

    python benchmarks/training.py [--rnn gru] [--kind tecno] [--epochs 10]

Prints, for all epochs together, the share of the time inside the network (forward and backward
pass), in the optimizer, and in everything else. Start-up is not part of it.
"""

import argparse
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from pipeline.determinism import use_deterministic_kernels
from pipeline.networks.temporal import KINDS
from pipeline.networks.temporal.params import read_model
from pipeline.runtime import read_runtime
from pipeline.sequences import read_split
from pipeline.settings import read_raw_section, read_section
from pipeline.tables import read_phases
from pipeline.train.loop import initial_network, train
from pipeline.train.params import TrainParams
from pipeline.training.state import StateFile

spent: dict[str, float] = defaultdict(float)


def timed(what: str, call: Callable[..., Any]) -> Callable[..., Any]:
    def measured(*args: Any, **kwargs: Any) -> Any:
        started = time.perf_counter()
        try:
            return call(*args, **kwargs)
        finally:
            spent[what] += time.perf_counter() - started

    return measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", choices=KINDS)
    parser.add_argument("--rnn", choices=("lstm", "gru"))
    parser.add_argument("--epochs", type=int, default=10)
    options = parser.parse_args()
    chosen = {key: getattr(options, key) for key in ("kind", "rnn") if getattr(options, key)}
    kind, model = read_model(read_raw_section("model") | chosen)
    changes = {"epochs": options.epochs, "early_stop": 0}
    params = read_section(TrainParams, "train").model_copy(update=changes)
    torch.set_num_threads(read_runtime().thread_count)
    use_deterministic_kernels()

    training, validation = read_split("train"), read_split("val")
    network = initial_network(KINDS[kind], model, len(read_phases()), training, 1)
    type(network).forward = timed("network", type(network).forward)  # type: ignore[method-assign]
    torch.Tensor.backward = timed("network", torch.Tensor.backward)  # type: ignore[method-assign]
    for optimizer in (torch.optim.AdamW, torch.optim.Adam, torch.optim.SGD):
        optimizer.step = timed("optimizer", optimizer.step)  # type: ignore[method-assign]
    clip = torch.nn.utils.clip_grad_norm_
    torch.nn.utils.clip_grad_norm_ = timed("optimizer", clip)  # type: ignore[assignment]

    with TemporaryDirectory() as folder:
        started, processor = time.perf_counter(), time.process_time()
        train(
            network,
            training,
            validation,
            params,
            1,
            torch.device("cpu"),
            StateFile(Path(folder) / "state"),
            lambda row: None,
        )
        total = time.perf_counter() - started
        processor = time.process_time() - processor
    print(f"{kind} {chosen.get('rnn', '')}, {torch.get_num_threads()} threads")
    print(
        f"an epoch   {total / options.epochs:6.3f} s (processor {processor / options.epochs:.3f} s)"
    )
    for what in ("network", "optimizer"):
        print(f"{what:<10} {spent[what] / total:6.1%}")
    print(f"{'the rest':<10} {1 - sum(spent.values()) / total:6.1%}")


if __name__ == "__main__":
    main()
