"""Which decoder reads a video quickest, by sampling rate: the rule behind frames.decoder.

    python benchmarks/routes.py CLIP [--minutes 10] [--size 480p] [--runs 3] [--folder FOLDER]

decord seeks to the sampled frames in batches. PyAV decodes the packets that they need: it leaves
out unreferenced pictures, and jumps by key frames where the interval exceeds a group. Both are
timed from opening the file to the container of JPEGs, without process start-up.
"""

import argparse
import tempfile
from pathlib import Path

from frames import bare_decoder
from long_video import SIZES, long_video
from timing import median_s

from pipeline.frames.container import Extraction, write_container
from pipeline.frames.decode import versions
from pipeline.frames.params import FramesParams
from pipeline.runtime import cores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--size", choices=SIZES, default="480p")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where the long video is kept")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (arguments.folder or Path(temporary)).resolve()
        clip = arguments.clip.resolve()
        video = long_video(clip, folder, arguments.size, True, arguments.minutes)
        bare = median_s(lambda: bare_decoder(video, cores()), arguments.runs)
        print(f"{arguments.minutes:g} minutes, {arguments.size}, bare decoder {bare:.2f} s\n")
        print("| sampled | " + " | ".join(f"{name}, s" for name in versions()) + " |")
        print("|---|" + "---|" * len(versions()))
        for fps in ("5", "1", "1/10", "1/30"):
            took = []
            for name in versions():
                params = FramesParams.model_validate({"fps": fps, "decoder": name})
                target = Path(temporary) / "v.h5"
                extraction = Extraction(
                    *("v", video, params, versions(), "", target, "", target, cores())
                )
                took.append(median_s(lambda e=extraction: write_container(e), arguments.runs))
            cells = " | ".join(f"{s:.2f} ({s / bare:.2f})" for s in took)
            print(f"| {fps} fps | {cells} |", flush=True)


if __name__ == "__main__":
    main()
