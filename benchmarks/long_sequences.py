"""Memory and time of a training step on a video of four hours, for every kind of network.

    python benchmarks/long_sequences.py [--kind ssm] [--frames 14400]

Prints for each kind, as its defaults make it and in its causal form where it has one, the peak
memory of a process that does one forward and one backward pass over the video with one thread, and
how many times longer that takes than a quarter of the video: 4 where the cost is linear in the
length. Four hours at one frame per second are 14,400 frames; the aim is below 4 GB.
"""

import argparse
import resource
import subprocess
import sys
import time

import torch

from pipeline.allocator import keep_freed_memory
from pipeline.networks.temporal import KINDS

DIM, CLASSES = 2048, 7


def step(kind: str, causal: bool, frames: int) -> float:
    """Seconds of the processor for one forward and backward pass."""
    params = KINDS[kind].Params(**({"causal": True} if causal else {}))
    network = KINDS[kind].build(DIM, CLASSES, params).train()
    features = torch.randn(1, frames, DIM).half()
    mask = torch.ones(1, frames, dtype=torch.bool)
    started = time.process_time()
    outputs = network(features, mask)
    torch.stack([logits.square().mean() for logits in outputs.logits]).sum().backward()
    return time.process_time() - started


def measure(kind: str, causal: bool, frames: int) -> None:
    """Print seconds for a quarter of the video, for all of it, and the peak memory in MB."""
    torch.set_num_threads(1)
    keep_freed_memory()
    step(kind, causal, 64)  # whatever is loaded by the first pass
    quarter = step(kind, causal, frames // 4)
    whole = step(kind, causal, frames)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    print(quarter, whole, peak)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", choices=KINDS)
    parser.add_argument("--frames", type=int, default=14400)
    parser.add_argument("--here", choices=("offline", "causal"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.here:
        measure(options.kind, options.here == "causal", options.frames)
        return
    print("| kind | peak, MB | a quarter, s | whole, s | ratio |")
    print("|---|---:|---:|---:|---:|")
    for kind in [options.kind] if options.kind else KINDS:
        forms = ["offline", *(["causal"] if "causal" in KINDS[kind].Params.model_fields else [])]
        for form in forms:
            command = [sys.executable, __file__, "--kind", kind, "--here", form]
            command += ["--frames", str(options.frames)]
            found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            quarter, whole, peak = map(float, found.split())
            name = f"`{kind}`" + (", causal" if form == "causal" else "")
            print(
                f"| {name} | {peak:,.0f} | {quarter:.1f} | {whole:.1f} | {whole / quarter:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
