"""One moment of a video: its frame, and the prediction there with what it leads back to."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline import paths
from pipeline.clips import stored_clips
from pipeline.errors import PipelineError
from pipeline.feature_store import read_features
from pipeline.frame_store import FrameFile
from pipeline.networks.backbones.contract import Backbone
from pipeline.networks.backbones.hybrid import is_hybrid
from pipeline.saliency.models import Models
from pipeline.saliency.rollout import attentions_of, patch_shares, rollout
from pipeline.saliency.trace import Trace, trace


@dataclass(frozen=True)
class Moment:
    """A sample of a video, as both networks had it.

    Attributes:
        time_s: Its presentation time.
        frame: (H, W, 3) uint8 RGB, whole.
        seen: (S, S, 3) uint8 RGB, what each backbone got to see of it, before normalisation.
        images: (1, 3, S, S) float, the same normalised; of a network that reads clips the whole
            clip (1, L, 3, S, S).
        trace: Its logits and where they come from.
    """

    time_s: float
    frame: NDArray[np.uint8]
    seen: Sequence[NDArray[np.uint8]]
    images: Sequence[torch.Tensor]
    trace: Trace

    @property
    def probabilities(self) -> NDArray[np.float32]:
        """(C,) of the classes."""
        found: NDArray[np.float32] = self.trace.logits.detach().softmax(dim=0).numpy()
        return found


def read_moment(
    models: Models,
    video: str,
    sample: int,
    frames: Path = paths.FRAMES,
    features: Path = paths.FEATURES,
) -> Moment:
    """One frame, or the clip at it, through both networks, among the stored features.

    Args:
        models: Both networks.
        video: Identifier.
        sample: Row of the features.
        frames: Folder of the containers.
        features: Folder of the features.

    Raises:
        PipelineError: Frames, features and backbone do not belong together, the frame was lost, or
            features are means over several views of a frame.
    """
    path = features / f"{video}.h5"
    stored = read_features(path)
    found = stored.attributes
    if found["weights_hash"] != models.weights_hash:
        raise PipelineError(
            f"{path}: made by backbone {str(found['weights_hash'])[:12]}, but {paths.BACKBONE} "
            f"holds {models.weights_hash[:12]}. Run `dvc repro features`."
        )
    if found.get("tta", "none") != "none":
        raise PipelineError(
            f"{path}: means over several views of each frame (features.tta: {found['tta']}), which "
            "have no single map. Only features of features.tta: none can be explained."
        )
    with FrameFile(frames / f"{video}.h5") as container:
        if container.attributes.get("fingerprint") != found["frames_fingerprint"]:
            raise PipelineError(
                f"{path}: made from other frames than those in {container.path}. "
                "Run `dvc repro features`."
            )
        clips = stored_clips(frames)
        number = sample * (clips.every if clips else 1)
        if container.lost[number]:
            kept = container.time_s[container.kept]
            near = kept[np.abs(kept - container.time_s[number]).argsort(kind="stable")[:1]]
            raise PipelineError(
                f"{container.path}: the frame at {container.time_s[number]:g} s could not be "
                f"decoded. The nearest one is at {', '.join(f'{at:g} s' for at in near) or '-'}."
            )
        frame = container.image(number)
        clip = clips.rows(~container.lost)[sample].tolist() if clips else [number]
        pixels = torch.from_numpy(np.stack([container.image(row) for row in clip]))
    own = clips.own if clips else 0
    crops = np.broadcast_to(found["crop"], len(models.transforms)).tolist()
    seen, images = [], []
    for transform, crop_px in zip(models.transforms, crops, strict=True):
        cropped = transform.cropped(crop_px)
        prepared = cropped.prepare(pixels.permute(0, 3, 1, 2))  # (L, 3, S, S)
        normalised = cropped.normalise(prepared)
        images.append(normalised[None] if clips else normalised)
        rgb = prepared[own] if cropped.channels == "rgb" else prepared[own].flip(0)
        seen.append(np.ascontiguousarray(rgb.permute(1, 2, 0).numpy()))
    rows = torch.from_numpy(stored.features).float()
    return Moment(
        time_s=float(stored.time_s[sample]),
        frame=frame,
        seen=seen,
        images=images,
        trace=trace(
            models.backbones,
            models.temporal,
            images,
            rows,
            sample,
            own / max(1, len(clip) - 1) if clips else 0.0,
        ),
    )


def attention_heat(backbone: Backbone, image: torch.Tensor) -> NDArray[np.float32] | None:
    """Attention rollout, (h, h), 0 to 1; None where the backbone has no attention to roll out.

    Args:
        backbone: In evaluation mode.
        image: (1, 3, S, S) float, normalised.
    """
    if backbone.clip_frames is not None:  # attention over time and place has no one image
        return None
    if is_hybrid(backbone.name):  # the layers of several networks are not one after the other
        return None
    attentions = attentions_of(backbone.network, image)
    shares = patch_shares(rollout(attentions)) if attentions else None
    if shares is None:
        return None
    heat: NDArray[np.float32] = (shares[0] / shares[0].max()).numpy()
    return heat
