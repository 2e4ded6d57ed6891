"""Frames are cut, shrunk and turned upright as exact arithmetic would."""

import cv2
import numpy as np
import pytest
from av import VideoFrame

from pipeline.frames.crop import Box, resize_short_side
from pipeline.frames.decode import read_frames, upright
from pipeline.frames.picture import FrameConverter, picture_of
from pipeline.frames.source import open_source


def image_of(picture):
    image = cv2.imdecode(np.frombuffer(picture.jpeg, np.uint8), cv2.IMREAD_COLOR_RGB)
    assert image.shape == (picture.height, picture.width, 3)
    return image


def area_weights(before, after):
    """(after, before): the share of each pixel in each wider pixel."""
    edges = np.arange(after + 1) * before / after
    pixel = np.arange(before)
    overlap = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    return np.maximum(overlap, 0) * after / before


def exact_rgb(frame):
    """A yuv420p frame as (H, W, 3) float RGB: BT.601, colour linear between its samples."""
    planes = [
        np.frombuffer(p, np.uint8).reshape(p.height, -1)[:, : p.width].astype(float)
        for p in frame.planes
    ]
    height, width = planes[0].shape
    x, y = np.arange(width) / 2, (np.arange(height) - 0.5) / 2
    colour = []
    for plane in planes[1:]:
        wide = np.stack([np.interp(x, np.arange(plane.shape[1]), row) for row in plane])
        rows = np.arange(plane.shape[0])
        colour.append(np.stack([np.interp(y, rows, column) for column in wide.T], axis=1))
    luma = (planes[0] - 16) * 255 / 219
    u, v = ((plane - 128) * 255 / 224 for plane in colour)
    rgb = [luma + 1.402 * v, luma - 0.344136 * u - 0.714136 * v, luma + 1.772 * u]
    return np.stack(rgb, axis=-1).clip(0, 255)


def psnr(a, b):
    return 10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2))


def test_shrinking_is_closer_to_exact_arithmetic_than_opencv_is(shared_data):
    source = open_source("v", shared_data / "clips/VID43_147.mp4")
    convert = FrameConverter(None, 256, 95)
    for exact, ours, theirs in read_frames(
        source,
        np.array([0, 700]),
        1,
        lambda: (
            lambda frame: (
                exact_rgb(frame),
                image_of(convert(frame)),
                image_of(picture_of(upright(frame), None, 256, 95)),
            )
        ),
    ):
        rows, columns = (area_weights(n, m) for n, m in zip(exact.shape, ours.shape, strict=True)
                         if n != 3)  # fmt: skip
        target = np.einsum("ij,jkc,lk->ilc", rows, exact, columns, optimize=True)
        assert psnr(ours, target) > psnr(theirs, target) + 1
        assert psnr(ours, target) > 42


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuvj420p", "yuv422p10le", "rgb24", "gray"])
def test_every_pixel_format_keeps_its_colours(pixel_format):
    y, x = np.mgrid[:120, :200]
    image = np.stack([x, 255 - x, y], axis=-1).astype(np.uint8)
    if pixel_format == "gray":
        image = np.repeat(image[:, :, 2:], 3, axis=2)
    frame = VideoFrame.from_ndarray(image, format="rgb24").reformat(format=pixel_format)
    for short_side in (60, 120, 180):
        picture = FrameConverter(None, short_side, 95)(frame)
        assert (picture.height, picture.width) == (short_side, short_side * 200 // 120)
        assert (
            np.abs(image_of(picture) - resize_short_side(image, short_side).astype(int)).mean() < 3
        )


def test_a_box_is_cut_from_the_upright_frame(shared_data):
    """With and without rotation, as cutting the upright image does."""
    box = Box(40, 240, 20, 300)
    for name in ("video_0.mov", "video_90.mov"):
        source = open_source("v", shared_data / "decode" / name)
        frames = np.array([0, 2])
        cut = list(read_frames(source, frames, 1, lambda: FrameConverter(box, 100, 95)))
        whole = list(read_frames(source, frames, 1, lambda: upright))
        for picture, image in zip(cut, whole, strict=True):
            expected = image_of(picture_of(image, box, 100, 95))
            assert picture.box == box
            assert np.abs(image_of(picture).astype(int) - expected).mean() < 2


def test_boxes_turn_with_the_frame():
    image = np.arange(48).reshape(6, 8)
    box = Box(1, 4, 2, 7)
    for turns in range(4):
        shown = np.rot90(image, turns)
        back = box.turned_back(turns, *shown.shape)
        kept = image[max(back.top, 0) : back.bottom, max(back.left, 0) : back.right]
        upright_cut = shown[box.top : box.bottom, box.left : box.right]
        np.testing.assert_array_equal(np.rot90(kept, turns), upright_cut)
