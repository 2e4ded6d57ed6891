"""Memory does not grow with the video."""

import re
import subprocess
import sys
from pathlib import Path

import av
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
from videos import write_video

EXTRACT = """
import sys
from pathlib import Path
from pipeline.frame_store import write_frames
from pipeline.frames.extract import extract
from pipeline.frames.params import FramesParams

video, target = map(Path, sys.argv[1:])
found = extract("v", video, FramesParams(fps=1), 2)
jpegs = (picture.jpeg for picture in found.pictures)
print(write_frames(target, zip(jpegs, found.frame_times_s), {}, found.samples))
print(Path("/proc/self/status").read_text())
"""


def repeated(source: Path, target: Path, times: int) -> Path:
    """The packets of a video again and again."""
    with av.open(str(source)) as first, av.open(str(target), "w") as out:
        stream = out.add_stream_from_template(first.streams.video[0])
        for number in range(times):
            # Read anew each time: writing a packet hands its data over.
            with av.open(str(source)) as again:
                length = again.streams.video[0].duration
                for packet in again.demux(again.streams.video[0]):
                    if packet.size:
                        packet.pts += number * length
                        packet.dts += number * length
                        packet.stream = stream
                        out.mux(packet)
    return target


def peak_mb(video: Path, target: Path) -> tuple[int, float]:
    """Frames, and the peak memory of a process that extracts them and does nothing else."""
    printed = subprocess.run(
        [sys.executable, "-c", EXTRACT, str(video), str(target)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    ).stdout
    found = re.search(r"VmHWM:\s+(\d+) kB", printed)
    assert found
    return int(printed.splitlines()[0]), int(found[1]) / 1000


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
def test_an_hour_takes_hardly_more_memory_than_a_minute(tmp_path):
    """Of its 3600 pictures and 36,000 packets only numbers are kept."""
    write_video(tmp_path / "minute.mp4", 600, fps=10, gop=100)
    hour = repeated(tmp_path / "minute.mp4", tmp_path / "hour.mp4", 60)
    frames, short = peak_mb(tmp_path / "minute.mp4", tmp_path / "minute.h5")
    assert frames == 60
    frames, long = peak_mb(hour, tmp_path / "hour.h5")
    assert frames == 3600
    print(f"{short:.0f} MB, {long:.0f} MB")
    assert long < short + 30
    assert long < 400
