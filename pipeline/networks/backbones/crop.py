"""Sizes of images that a network can take."""

import torch

from pipeline.errors import PipelineError
from pipeline.networks.backbones.contract import Backbone

# A patch of 14 or 16 and a window of 7 or 8 patches: multiples of them lie closer than this.
_NEAR_PX = 128


def check_crop(backbone: Backbone, crop_px: int, key: str) -> None:
    """Check that a network takes images of this side, by shapes alone.

    Args:
        backbone: Built under `torch.device("meta")`, where nothing is computed.
        crop_px: Side of the square images.
        key: Of params.yaml, for the error.

    Raises:
        PipelineError: It does not; names the nearest sides that it takes.
    """
    if _takes(backbone, crop_px):
        return
    around = range(max(crop_px - _NEAR_PX, 1), crop_px + _NEAR_PX)
    sides = sorted(around, key=lambda side: abs(side - crop_px))
    near = sorted(_first_two(backbone, sides) | {backbone.transform.crop_px})
    raise PipelineError(
        f"params.yaml: {key}: found {crop_px}, but {backbone.name} does not take images of that "
        f"size. Allowed, for example: {', '.join(map(str, near))}; or null for that of its weights."
    )


def _first_two(backbone: Backbone, sides: list[int]) -> set[int]:
    found: set[int] = set()
    for side in sides:
        if len(found) < 2 and _takes(backbone, side):
            found.add(side)
    return found


@torch.inference_mode()
def _takes(backbone: Backbone, side_px: int) -> bool:
    clip = () if backbone.clip_frames is None else (backbone.clip_frames,)
    images = torch.empty(1, *clip, 3, side_px, side_px, device="meta")
    try:
        backbone.network.eval()(images)
    except (AssertionError, RuntimeError, ValueError):
        return False
    return True
