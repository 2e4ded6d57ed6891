"""The transformers of clips at a size that tests can compute."""

from contextlib import contextmanager

import pytest

from pipeline.networks.backbones import timesformer, videomae, vivit, vjepa2

DIM, LAYERS, HEADS, SIDE = 48, 2, 4, 48


@contextmanager
def small_transformers():
    """The transformers of this project with two narrow layers and 3 x 3 patches."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (videomae, vivit, vjepa2):
            values = {**vars(module._TRANSFORM), "resize_px": SIDE, "crop_px": SIDE}
            patch.setattr(module, "_TRANSFORM", type(module._TRANSFORM)(**values))
        for module in (vivit, timesformer):
            for name, value in (("_DIM", DIM), ("_LAYERS", LAYERS), ("_HEADS", HEADS)):
                patch.setattr(module, name, value)
        size = videomae._Size(DIM, LAYERS, HEADS)
        patch.setitem(videomae._SIZES, "videomae_base", size)
        size = vjepa2._Size(DIM, LAYERS, HEADS, 4.0, "")
        patch.setitem(vjepa2._SIZES, "vjepa2_large", size)
        sizes = timesformer._Published(SIDE, 8, 32)
        patch.setitem(timesformer._PUBLISHED, "timesformer_base", sizes)
        yield
