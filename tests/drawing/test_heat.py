"""Heat over an image, and the picture of a moment."""

import cv2
import numpy as np
import pytest

from pipeline.drawing.heat import Panel, heat_picture, overlaid


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)


def test_heat_is_bright_where_it_is_hot_and_the_image_is_grey_elsewhere(image):
    heat = np.zeros((3, 4), dtype=np.float32)
    heat[0, 3] = 1  # over the upper right corner, 20 x 20 pixels
    found = overlaid(image, heat).astype(int)
    assert found.shape == image.shape
    hot, cold = found[5:15, 65:75], found[30:, :40]
    assert hot.mean() > cold.mean() + 40
    assert (hot[..., 0] - hot[..., 2]).mean() > 50  # yellow: more red than blue
    spread = np.ptp(cold, axis=2).mean() / np.ptp(image[30:, :40].astype(int), axis=2).mean()
    assert spread < 0.2
    light = [values.mean(axis=2).ravel() for values in (cold, image[30:, :40])]
    assert np.corrcoef(*light)[0, 1] > 0.99


def test_the_last_bits_of_heat_draw_nothing_else(image):
    heat = np.full((7, 7), 0.503, dtype=np.float32)
    assert np.array_equal(overlaid(image, heat), overlaid(image, heat * np.float32(1 + 1e-6)))


def test_a_picture_has_a_row_per_method_and_a_column_per_class(tmp_path, image):
    panel = Panel(image[:, :60], np.eye(4, dtype=np.float32))
    sizes = []
    for rows in (
        {"Grad-CAM": {"one": panel}},
        {"Grad-CAM": {"one": panel, "two": panel}},
        {"Grad-CAM": {"one": panel, "two": panel}, "Attention": {"all": panel}},
    ):
        heat_picture(tmp_path / "a.png", image, ("title",), rows)
        heat_picture(tmp_path / "b.png", image, ("title",), rows)
        assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
        sizes.append(cv2.imread(str(tmp_path / "a.png")).shape[:2])
    (low, narrow), (also_low, wide), (high, also_wide) = sizes
    assert low == also_low < high and narrow < wide == also_wide
