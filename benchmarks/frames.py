"""The frames stage against the bare decoder, on one video repeated to some minutes.

    python benchmarks/frames.py VIDEO [--minutes 10] [--runs 5]

The ceiling decodes every picture with PyAV and does nothing else, with as many threads.
"""

import argparse
import resource
import tempfile
from dataclasses import replace
from pathlib import Path

import av
from timing import median_s

from pipeline.frames.decode import open_source
from pipeline.frames.params import FramesParams
from pipeline.frames.stage import Job, extract
from pipeline.runtime import cores


def repeat(source: Path, target: Path, minutes: float) -> None:
    """Write the packets of a video again and again, until it is long enough."""
    with av.open(str(source)) as first:
        packets = [p for p in first.demux(first.streams.video[0]) if p.size]
        length = max(p.pts for p in packets) + packets[0].duration
        rounds = max(1, round(minutes * 60 / float(length * packets[0].time_base)))
    with av.open(str(target), "w") as out:
        copy = None
        for number in range(rounds):
            # Read anew each time: writing a packet hands its data over.
            with av.open(str(source)) as again:
                stream = again.streams.video[0]
                copy = copy or out.add_stream_from_template(stream)
                for packet in again.demux(stream):
                    if packet.size:
                        packet.pts += number * length
                        packet.dts += number * length
                        packet.stream = copy
                        out.mux(packet)


def bare_decoder(path: Path, threads: int) -> None:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = threads
        for _ in container.decode(stream):
            pass


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("video", type=Path)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    threads = cores()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "long.mp4"
        repeat(arguments.video, path, arguments.minutes)
        source = open_source("long", path)
        ceiling = median_s(lambda: bare_decoder(path, threads), arguments.runs)
        print(f"{len(source.timeline.ticks)} frames, {threads} threads")
        print(f"bare decoder      {ceiling:7.2f} s")
        for decoder in ("decord", "pyav"):
            target = Path(folder) / "frames.h5"
            job = Job(source, FramesParams(), (decoder, ""), "", target, threads)
            took = median_s(lambda job=job: extract(replace(job)), arguments.runs)
            print(f"frames, {decoder:<9} {took:7.2f} s  {took / ceiling:.2f} of the decoder")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
        print(f"peak memory       {peak:7.0f} MB")


if __name__ == "__main__":
    main()
