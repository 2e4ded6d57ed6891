"""Frames that are stored smaller than the backbone wants them."""

from collections.abc import Sequence

from pipeline.networks.backbones.transform import Transform


def enlarged_note(name: str, short_sides: Sequence[int], transform: Transform) -> str | None:
    """One line that says how many videos are enlarged and what to set; None where none is.

    Args:
        name: Of the backbone.
        short_sides: The shorter side of each video's frames in pixels.
        transform: After the crop.
    """
    wanted_px = transform.resize_px
    smaller = [side for side in short_sides if side < wanted_px]
    if not smaller:
        return None
    crop_px = transform.crop_px * min(smaller) // wanted_px
    return (
        f"the frames of {len(smaller)} of {len(short_sides)} videos are stored with a short side "
        f"of {min(smaller)} px and enlarged to {wanted_px} px for {name}, which adds no detail. "
        f"Set frames.short_side: {wanted_px} if the videos are as large, or features.crop: "
        f"{crop_px}, which is faster"
    )
