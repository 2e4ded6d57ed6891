"""Only some packets are decoded; what comes out is what a full decode shows."""

import shutil
import sys
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
from videos import number_of, write_video

from pipeline.errors import VideoError
from pipeline.frames import decode
from pipeline.frames.crop import view_box
from pipeline.frames.decode import decoder_for, read_decord, read_frames, upright
from pipeline.frames.keyframes import keyframes
from pipeline.frames.plan import plan_spans
from pipeline.frames.sample import sampled_frames
from pipeline.frames.source import open_source

SHARED_FILES = (
    *("clips/VID18_166.mp4", "clips/VID25_324.mp4", "clips/VID26_213.mp4"),
    *("clips/VID43_147.mp4", "clips/VID43_297.mp4", "clips/endo.mp4", "clips/pigleg_vfr.mp4"),
    *("decode/apple-prores-422-proxy.mov", "decode/hevc.mp4", "decode/test.avi"),
    *("decode/unordered.mov", "decode/video_0.mov", "decode/video_90.mov"),
)
# Three clips more than VID18_166 and VID43_147 of the same encoder with the same options add
# nothing but time.
DECODED = [name for name in SHARED_FILES if not name.endswith(("324.mp4", "213.mp4", "297.mp4"))]
# A variable rate, and an open GOP.
UNSTEADY = ("clips/pigleg_vfr.mp4", "decode/hevc.mp4")
UNREADABLE = {
    "corrupted.mp4": "28 of 50 frames decode; it is truncated or damaged",
    "encrypted_cenc.mp4": "none of its 10 frames decodes; it is encrypted or damaged",
    "zero_bytes.webm": "zero bytes",
    "audio_only.mp3": "holds only audio, no video",
    "empty_262_bytes.mp4": "no stream at all",
    "none.mp4": "does not exist",
}


def images_of(source, frames, threads=2):
    return read_frames(source, np.asarray(frames), threads, lambda: upright)


def full_decode(path):
    with suppress(av.FFmpegError), av.open(str(path)) as container:
        yield from container.decode(video=0)


def wanted(source, fps):
    return np.unique(sampled_frames(source.timeline, Fraction(fps)))


def spans_of(source, frames):
    return plan_spans(source.table, source.start + source.timeline.ticks[frames], source.jumps)


def test_every_shared_file_is_either_read_or_known_to_be_unreadable(shared_data):
    names = {f"{folder}/{p.name}" for folder in ("clips", "decode") for p in
             (shared_data / folder).iterdir()}  # fmt: skip
    known = {*SHARED_FILES, *(f"decode/{name}" for name in UNREADABLE if name != "none.mp4")}
    assert names == known


@pytest.mark.parametrize("name", DECODED)
def test_the_pixels_are_those_of_a_full_decode(shared_data, name, monkeypatch):
    """At 5, 1 and 0.1 frames per second, and without falling back to a full decode."""
    source = open_source("v", shared_data / name)
    if source.table is not None:
        monkeypatch.setattr(decode, "_read_whole", lambda *_: pytest.fail("fell back"))
    rates = [set(wanted(source, fps).tolist()) for fps in ("5", "1", "1/10")]
    readers = [images_of(source, sorted(frames)) for frames in rates]
    for number, frame in enumerate(full_decode(shared_data / name)):
        found = [next(r) for frames, r in zip(rates, readers, strict=True) if number in frames]
        if found:
            image = upright(frame)  # of the few that are asked for: it takes long
        for one in found:
            np.testing.assert_array_equal(one, image)
    assert [len(list(reader)) for reader in readers] == [0, 0, 0]


def test_half_of_the_pictures_of_a_real_operation_are_not_decoded(shared_data):
    source = open_source("v", shared_data / "clips/VID43_147.mp4")
    spans = spans_of(source, wanted(source, 1))
    decoded = sum(int(span.decode.sum()) for span in spans)
    assert decoded < 0.55 * len(source.table)
    assert len(spans) >= 3


@pytest.mark.parametrize("decoder", ["decord", "pyav"])
@pytest.mark.parametrize(("name", "message"), UNREADABLE.items())
def test_damaged_files_are_named_with_the_reason(shared_data, decoder, name, message):
    with pytest.raises(VideoError, match=message):
        source = open_source("v", shared_data / "decode" / name)
        read = read_decord if decoder == "decord" else images_of
        list(read(source, wanted(source, 1), 1))


@pytest.mark.parametrize("name", [name for name in DECODED if name not in UNSTEADY])
def test_both_decoders_show_the_same(shared_data, name):
    source = open_source("v", shared_data / name)
    frames = wanted(source, 1)
    assert decoder_for(source, "decord") == "decord"
    one = np.stack(list(read_decord(source, frames, 2)))
    two = np.stack(list(images_of(source, frames)))
    assert one.shape == two.shape and len(one) == len(frames)
    assert np.abs(one.astype(int) - two).mean() < 2


def test_decord_is_kept_from_files_in_which_it_returns_neighbours(shared_data):
    """A variable rate, and an open GOP: jumping there, it delivers another frame than asked for."""
    vfr = open_source("v", shared_data / "clips/pigleg_vfr.mp4")
    frames = wanted(vfr, 1)[[0, -1]]  # decord decodes from the first frame for each of them
    jumped, true = (np.stack(list(read(vfr, frames, 2))) for read in (read_decord, images_of))
    assert np.abs(jumped[0].astype(int) - true[0]).mean() < 2
    assert np.abs(jumped[-1].astype(int) - true[-1]).mean() > 5
    for name in UNSTEADY:
        assert decoder_for(open_source("v", shared_data / name), "decord") == "pyav"
    assert decoder_for(open_source("v", shared_data / "clips/endo.mp4"), "decord") == "decord"


def test_rotation_is_applied(shared_data):
    source = open_source("v", shared_data / "decode/video_90.mov")
    assert next(images_of(source, [0])).shape == (568, 320, 3)
    assert keyframes(source, 2).shape[1:] == (568, 320, 3)


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("v.mpg", "libx264"),
        ("v.mpg", "mpeg2video"),
        ("v.h264", "libx264"),
        ("v.m2v", "mpeg2video"),
        ("v.avi", "libx264"),
        ("v.ts", "libx264"),
    ],
)
def test_key_frames_come_from_the_whole_video_in_every_container(tmp_path, name, codec):
    """MPEG program streams and raw ones tell the time of few packets or of none."""
    path = tmp_path / name
    muxer = {"format": "vob"} if path.suffix == ".mpg" else {}
    with av.open(str(path), "w", **muxer) as container:
        stream = container.add_stream(codec, rate=25, options={"g": "12", "bf": "2"})
        stream.width, stream.height, stream.pix_fmt = 160, 128, "yuv420p"
        for number in range(300):
            image = np.zeros((128, 160, 3), dtype=np.uint8)
            if number > 200:
                image[32:96, 40:120] = 200
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    source = open_source("v", path)
    images = keyframes(source, 8)
    assert 6 <= len(images) <= 8
    assert [image.max() > 100 for image in images] == sorted(image.max() > 100 for image in images)
    assert 2 <= sum(image.max() > 100 for image in images) <= 4
    box = view_box(images)
    assert abs(box.top - 32) <= 2 and abs(box.left - 40) <= 2
    assert abs(box.bottom - 96) <= 2 and abs(box.right - 120) <= 2


def test_text_is_no_video(tmp_path):
    (tmp_path / "notes.mp4").write_text("hello " * 100)
    with pytest.raises(VideoError, match="is no readable video"):
        open_source("notes", tmp_path / "notes.mp4")


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi", "ts", "h264"])
@pytest.mark.parametrize(
    "extra", ["", "open-gop=1", "intra-refresh=1:bframes=0", "b-pyramid=strict", "bframes=0"]
)
def test_containers_and_kinds_of_groups(tmp_path, suffix, extra, monkeypatch):
    """Each frame carries its number, and no route delivers another one."""
    path = tmp_path / f"v.{suffix}"
    write_video(path, 240, gop=30, x264=f"scenecut=0:{extra}".rstrip(":"))
    source = open_source("v", path)
    whole = []
    original = decode._read_whole
    monkeypatch.setattr(decode, "_read_whole", lambda *a: whole.append(1) or original(*a))
    for step in (1, 5, 25, 170):
        frames = np.arange(3, 240, step)
        assert [number_of(image) for image in images_of(source, frames)] == frames.tolist()
    if suffix in ("mp4", "mkv"):
        assert not whole
        closed = extra in ("", "b-pyramid=strict", "bframes=0")
        assert (len(spans_of(source, np.arange(240))) > 1) == closed


def test_long_runs_without_a_wanted_frame_are_jumped_over(tmp_path):
    write_video(tmp_path / "v.mp4", 1000, gop=10, x264="scenecut=0")
    source = open_source("v", tmp_path / "v.mp4")
    spans = spans_of(source, np.array([5, 605, 999]))
    assert [span.first for span in spans] == [0, 600]
    assert sum(int(span.decode.sum()) for span in spans) < 30
    assert [number_of(image) for image in images_of(source, [5, 605, 999])] == [5, 605, 999]


def cut(path, share):
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


def overwritten(path, packet_number):
    """Replace what a packet holds with noise."""
    with av.open(str(path)) as container:
        packet = [p for p in container.demux(video=0) if p.size][packet_number]
        place, size = packet.pos, packet.size
    content = bytearray(path.read_bytes())
    noise = np.random.default_rng(0).integers(0, 255, size - 8, dtype=np.uint8).tobytes()
    content[place + 8 : place + size] = noise
    path.write_bytes(bytes(content))


def test_a_file_that_breaks_off_behind_the_last_sampled_frame_is_damaged(tmp_path):
    path = tmp_path / "v.mp4"
    write_video(path, 100, gop=30, faststart=True)
    source = open_source("v", path)
    frames = wanted(source, "1/10")
    assert frames.tolist() == [0]
    cut(path, 0.97)
    with pytest.raises(VideoError, match=r"holds \d+ of the 100 frames it lists|frames decode"):
        list(images_of(open_source("v", path), frames))


def test_damage_is_found_where_a_wanted_frame_needs_it_and_only_there(tmp_path):
    path, broken = tmp_path / "v.mp4", tmp_path / "broken.mp4"
    write_video(path, 120, gop=30, x264="scenecut=0")
    frames = np.array([0, 62, 119])
    span = spans_of(open_source("v", path), frames)[0]
    # The key frame of the group that holds frame 62, and a packet that nobody needs.
    for packet, needed in ((60, True), (int(np.flatnonzero(~span.decode)[0]), False)):
        shutil.copy(path, broken)
        overwritten(broken, packet)
        source = open_source("v", broken)
        if needed:
            with pytest.raises(VideoError, match=r"frame 60, at 2.4 s, is damaged"):
                list(images_of(source, frames))
        else:
            assert [number_of(image) for image in images_of(source, frames)] == frames.tolist()
