"""All kinds of temporal networks side by side: size, what they see, and speed on one thread.

    python benchmarks/temporal.py [--kind ssm] [--frames 2000] [--runs 3]

Prints the table of docs/models.md: every kind as its defaults make it, and its causal variant where
it has one, for 7 classes and features of 2,048 numbers. Training is a forward and a backward pass
over one video, live is one more frame after that video. Times are the processor's, which on one
thread are those of an idle machine.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator

import torch

from pipeline.networks.temporal import KINDS
from pipeline.networks.temporal.contract import TemporalModule

DIM, CLASSES = 2048, 7
STEPS = 30


def variants(kind: str) -> Iterator[tuple[str, TemporalModule]]:
    """The network as its defaults make it, and the causal one where it is another."""
    params = KINDS[kind].Params
    yield f"`{kind}`", KINDS[kind].build(DIM, CLASSES, params())
    if "causal" in params.model_fields:
        yield f"`{kind}`, causal", KINDS[kind].build(DIM, CLASSES, params(causal=True))


def processor_ms(work: Callable[[], object], runs: int) -> float:
    """The median of some runs, after one that warms up."""
    work()
    times = []
    for _ in range(runs):
        started = time.process_time()
        work()
        times.append(1000 * (time.process_time() - started))
    return statistics.median(times)


def training_ms(network: TemporalModule, frames: int, runs: int) -> float:
    features = torch.randn(1, frames, DIM)
    mask = torch.ones(1, frames, dtype=torch.bool)
    network.train()

    def work() -> None:
        network.zero_grad()
        outputs = network(features, mask)
        torch.stack([logits.square().mean() for logits in outputs.logits]).sum().backward()

    return processor_ms(work, runs)


@torch.inference_mode()
def step_ms(network: TemporalModule, frames: int, runs: int) -> float:
    """A frame after a video, so that windows and caches are as full as they get by then."""
    network.eval()
    video = torch.randn(1, frames, DIM)
    begun = network(video, torch.ones(1, frames, dtype=torch.bool)).state

    def work() -> None:
        state = begun
        for frame in video[:, :STEPS].unbind(1):
            _, state = network.step(frame, state)

    return processor_ms(work, runs) / STEPS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", choices=KINDS)
    parser.add_argument("--frames", type=int, default=2000)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("| kind | parameters | live | frames that decide a logit | training, ms | live, ms |")
    print("|---|---:|---|---:|---:|---:|")
    for kind in [options.kind] if options.kind else KINDS:
        for name, network in variants(kind):
            sees = f"{network.receptive_field:,}" if network.receptive_field else "all"
            parameters = sum(parameter.numel() for parameter in network.parameters()) / 1e6
            training = training_ms(network, options.frames, options.runs)
            live = "-"
            if network.causal:
                live = f"{step_ms(network, options.frames, options.runs):.1f}"
            print(
                f"| {name} | {parameters:.2f} M | {'yes' if network.causal else 'no'} "
                f"| {sees} | {training:,.0f} | {live} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
