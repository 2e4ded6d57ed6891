"""frames.on_error: mask keeps what is good of a damaged video."""

import shutil
import sys
from pathlib import Path

import av
import numpy as np
import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
from videos import number_of, write_video

from pipeline.errors import PipelineError, VideoError
from pipeline.frame_store import FrameFile
from pipeline.frames import stage
from pipeline.frames.extract import extract, extract_damaged
from pipeline.frames.params import FramesParams
from pipeline.frames.salvage import _spoilt, good_frames
from pipeline.frames.source import open_source
from pipeline.result_store import file_hash
from pipeline.tables import read_masked, write_table


def settings(on_error, fps=1, crop_borders="false"):
    Path("params.yaml").write_text(
        f"data: {{root: videos}}\nframes: {{fps: {fps}, short_side: 64, on_error: {on_error}, "
        f"crop_borders: {crop_borders}}}\nruntime: {{device: cpu, workers: 1, threads: 2}}\n"
    )


def index(*paths):
    rows = [
        {"video": path.stem, "path": path.name, "sha256": file_hash(path), "problem": ""}
        | dict.fromkeys(("width", "height", "fps", "frames", "duration_s"), 0)
        for path in paths
    ]
    write_table(pd.DataFrame(rows), Path("data/index/videos.csv"))


def overwrite(path, packet_number, share=1.0):
    """Replace what a packet holds, or its last part, with noise."""
    with av.open(str(path)) as container:
        packet = [p for p in container.demux(video=0) if p.size][packet_number]
        start, size = packet.pos, packet.size
    first = start + max(8, int(size * (1 - share)))
    content = bytearray(path.read_bytes())
    noise = np.random.default_rng(0).integers(0, 255, start + size - first, dtype=np.uint8)
    content[first : start + size] = noise.tobytes()
    path.write_bytes(bytes(content))


def cut(path, share):
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


def pictures(video):
    with FrameFile(Path(f"data/frames/{video}.h5")) as frames:
        kept = {k: frames.image(k) for k in frames.kept.tolist()}
        return kept, frames.lost, frames.time_s


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        ("IBPBBxBPIBP", "...sssss..."),
        ("IPPxPPIPP", "...sss..."),
        ("IPPPxBBPIP", "....ssss.."),
        ("xBPIBP", "sss..."),
        ("IBPxBPXBPIP", "...ssssss.."),
        ("IBPBPx", ".....s"),
        ("IBPIBP", "......"),
    ],
)
def test_a_bad_picture_spoils_what_may_refer_to_it(kinds, expected):
    """x is a bad picture and X a bad key frame."""
    bad = np.array([kind in "xX" for kind in kinds])
    key = np.array([kind in "IX" for kind in kinds])
    between = np.array([kind in "BxX" for kind in kinds])
    assert "".join(".s"[int(spoilt)] for spoilt in _spoilt(bad, key, between)) == expected


def test_one_damaged_packet_of_a_real_operation_costs_its_group(shared_data, workplace):
    """Every sample that is kept is as in the whole file; only what is damaged is lost."""
    (workplace / "videos").mkdir()
    for name in ("whole", "damaged"):
        shutil.copy(shared_data / "clips/VID43_147.mp4", workplace / f"videos/{name}.mp4")
    with av.open("videos/damaged.mp4") as container:
        packets = [p for p in container.demux(video=0) if p.size]
        keys = [n for n, packet in enumerate(packets) if packet.is_keyframe]
    overwrite(Path("videos/damaged.mp4"), keys[1] + 1)
    index(Path("videos/whole.mp4"), Path("videos/damaged.mp4"))
    settings("stop", fps=5)
    with pytest.raises(PipelineError, match=r"damaged: .* is damaged(.|\n)*mask, which keeps"):
        stage.run()
    settings("mask", fps=5)
    note = stage.run()
    whole, none_lost, _ = pictures("whole")
    kept, lost, time_s = pictures("damaged")
    assert not none_lost.any() and 0 < lost.sum() < len(lost) / 2
    assert f"{lost.sum()} samples of 1 videos lost" in note
    assert sorted(kept) == np.flatnonzero(~lost).tolist()
    for sample, image in kept.items():
        np.testing.assert_array_equal(image, whole[sample])
    # From the damaged packet to the next key frame.
    times = sorted(float(packet.pts * packet.time_base) for packet in packets)
    first, behind = times[keys[1]], times[keys[2]] if len(keys) > 2 else np.inf
    assert (lost <= ((time_s >= first - 0.2) & (time_s < behind))).all()
    assert read_masked(Path("data/frames")).to_numpy().tolist() == [
        ["damaged", lost.sum(), len(lost)]
    ]


def test_what_a_stopped_decoder_would_have_left_out_is_lost(shared_data, workplace):
    """Of 50 frames at 10 per second 28 decode before the first error; no key frame follows it."""
    found = extract_damaged(
        "v", shared_data / "decode/corrupted.mp4", FramesParams(fps=10, short_side=64), 2
    )
    lost = found.samples.lost
    assert len(lost) == 50
    assert not lost[:28].any() and lost[30:].all()
    np.testing.assert_allclose(found.samples.time_s, np.arange(50) / 10)
    assert len(list(found.pictures)) == len(found.frame_times_s) == (~lost).sum()


def test_a_file_that_is_cut_off_keeps_its_promised_length(workplace):
    path = workplace / "videos/v.mp4"
    write_video(path, 200, gop=10, faststart=True)
    whole = extract("v", path, FramesParams(fps=5), 1)
    cut(path, 0.6)
    with pytest.raises(VideoError, match=r"holds \d+ of the 200 frames it lists"):
        extract("v", path, FramesParams(fps=5), 1)
    found = extract_damaged("v", path, FramesParams(fps=5), 1)
    lost = found.samples.lost
    assert 10 < lost.sum() < 30 and lost[np.argmax(lost) :].all()
    np.testing.assert_allclose(found.samples.time_s, whole.samples.time_s, atol=0.05)
    assert (np.diff(found.samples.time_s) > 0).all()
    sizes = [len(picture.jpeg) for picture in found.pictures]
    assert sizes == [len(picture.jpeg) for picture in whole.pictures][: len(sizes)] or sizes


@pytest.mark.parametrize("on_error", ["stop", "skip", "mask"])
def test_a_whole_video_has_the_same_frames_under_every_setting(workplace, on_error):
    write_video(workplace / "videos/v.mp4", 60)
    index(workplace / "videos/v.mp4")
    settings("stop")
    assert "1 extracted" in stage.run()
    before = file_hash(Path("data/frames/v.h5"))
    settings(on_error)
    assert "0 extracted" in stage.run()
    assert file_hash(Path("data/frames/v.h5")) == before
    assert read_masked(Path("data/frames")).empty


def test_a_damaged_video_is_salvaged_once_and_not_mixed_up_with_a_whole_one(workplace):
    path = workplace / "videos/v.mp4"
    write_video(path, 120, gop=30, x264="scenecut=0")
    write_video(workplace / "videos/w.mp4", 60)
    overwrite(path, 60)
    index(path, workplace / "videos/w.mp4")
    settings("mask", fps=5)
    assert "2 extracted, 6 samples of 1 videos lost" in stage.run()
    kept, lost, _ = pictures("v")
    assert np.flatnonzero(lost).tolist() == list(range(12, 18))
    assert {k: number_of(image) for k, image in kept.items()} == {k: 5 * k for k in kept}
    assert "0 extracted, 6 samples" in stage.run()
    settings("skip", fps=5)
    assert "1 videos, 0 extracted, 1 damaged videos skipped" in stage.run()
    settings("stop", fps=5)
    with pytest.raises(PipelineError, match=r"v: .*frame 60, at 2.4 s, is damaged"):
        stage.run()


def test_a_video_of_which_nothing_decodes_is_an_error_that_names_it(shared_data, workplace):
    (workplace / "videos").mkdir()
    shutil.copy(shared_data / "decode/encrypted_cenc.mp4", workplace / "videos/e.mp4")
    (workplace / "videos/zero.mp4").touch()
    write_video(workplace / "videos/v.mp4", 30)
    index(*sorted((workplace / "videos").iterdir()))
    settings("mask")
    with pytest.raises(
        PipelineError, match=r"2 of 3 .* at all(.|\n)*e: .*none of its 10 frames"
    ) as e:
        stage.run()
    assert "zero: " in str(e.value) and "frames.on_error: skip" in str(e.value)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts", "avi"])
def test_damage_is_found_in_every_container(tmp_path, suffix):
    """The frames that are kept carry the numbers that they should."""
    path = tmp_path / f"v.{suffix}"
    write_video(path, 240, gop=30, x264="scenecut=0")
    content = bytearray(path.read_bytes())
    half = len(content) // 2
    content[half : half + 400] = np.random.default_rng(1).integers(0, 255, 400, np.uint8).tobytes()
    path.write_bytes(bytes(content))
    assert 60 <= good_frames(open_source("v", path, whole=False), 2).sum() < 240
    found = extract_damaged("v", path, FramesParams(fps=25, short_side=64), 2)
    numbers = [number_of(_decoded(picture.jpeg)) for picture in found.pictures]
    rows = found.samples.frames[:, 0]
    for sample in np.flatnonzero(rows >= 0).tolist():
        assert numbers[rows[sample]] == sample
    # AVI only counts its frames: once some are missing, the rest is lost.
    assert (rows[-10:].min() >= 0) == (suffix != "avi")


def _decoded(jpeg):
    from pipeline.frame_store import decode_jpeg

    return decode_jpeg(np.frombuffer(jpeg, np.uint8))


def test_borders_are_found_in_a_damaged_video_too(shared_data, workplace):
    (workplace / "videos").mkdir()
    for name in ("whole", "damaged"):
        shutil.copy(shared_data / "clips/VID25_324.mp4", workplace / f"videos/{name}.mp4")
    overwrite(Path("videos/damaged.mp4"), 300)
    index(Path("videos/whole.mp4"), Path("videos/damaged.mp4"))
    settings("mask", fps="0.5", crop_borders="true")
    stage.run()
    boxes = []
    for name in ("whole", "damaged"):
        with FrameFile(Path(f"data/frames/{name}.h5")) as frames:
            boxes.append(frames.attributes["crop_box"])
    assert np.abs(boxes[0] - boxes[1]).max() <= 8
