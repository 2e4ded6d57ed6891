"""Image by image through both models, at a cost per image that does not grow."""

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from fractions import Fraction

import av
import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.errors import PipelineError
from pipeline.features.rows import stored_as
from pipeline.frames.decode import upright
from pipeline.frames.picture import FrameConverter, Picture, picture_of
from pipeline.model_pair import task_of
from pipeline.networks.temporal.contract import State
from pipeline.postprocess.applied import looks_ahead, step
from pipeline.predict.encoded import of_views
from pipeline.predict.loaded import Loaded

# Times of cameras and of files are rounded.
_ALIKE_S = 1e-6

Image = NDArray[np.uint8] | av.VideoFrame


@dataclass(frozen=True)
class LivePrediction:
    """The phase at the last sample.

    Attributes:
        time_s: When the sample lies, on the clock of the images.
        label: The phase, after post-processing.
        probabilities: (C,) float32 of all classes.
    """

    time_s: float
    label: str
    probabilities: NDArray[np.float32]

    @property
    def confidence(self) -> float:
        """The probability of the most probable class."""
        return float(self.probabilities.max())


class Live:
    """One operation as it goes on.

    Args:
        models: A causal temporal model, and backbones that see no later frames.
        pool: Threads that read JPEGs.

    Raises:
        PipelineError: The models look into the future or need the whole video.
    """

    def __init__(self, models: Loaded, pool: ThreadPoolExecutor) -> None:
        _check(models)
        self._models, self._pool = models, pool
        recipe = models.recipe
        self._clips, self._rate = recipe.clips, recipe.frames.rate
        self._every = self._clips.every if self._clips else 1
        self._convert = FrameConverter(None, recipe.frames.short_side, recipe.frames.quality)
        # Of the frames that a clip needs; one where samples are single images.
        self._jpegs: deque[NDArray[np.uint8]] = deque(maxlen=self._clips.span if self._clips else 1)
        self._stored = 0  # frames taken so far, at `_rate` per second
        self._shown: Image | None = None  # the last image
        self._start_s = self._shown_s = 0.0
        self._state: State | None = None
        self._smoothing: NDArray[np.float64] | None = None  # of the post-processing
        self._last: LivePrediction | None = None
        self._feature: NDArray[np.float32] | None = None  # of the last sample

    def frame(self, image: Image, time_s: float) -> LivePrediction:
        """See Predictor.frame."""
        if isinstance(image, np.ndarray):
            # Its owner may write into it again.
            image = _checked(image).copy()
        if self._shown is None:
            self._start_s = time_s
        elif time_s <= self._shown_s:
            raise ValueError(f"time {time_s} s does not follow {self._shown_s} s; see restart()")
        elapsed_s = time_s - self._start_s
        # What was shown until now, at every k / rate that has gone by meanwhile.
        if self._shown is not None and self._due_s() < elapsed_s - _ALIKE_S:
            held = self._jpeg(self._shown)
            while self._due_s() < elapsed_s - _ALIKE_S:
                self._take(held)
        if self._due_s() <= elapsed_s + _ALIKE_S:
            self._take(self._jpeg(image))
        self._shown, self._shown_s = image, time_s
        assert self._last is not None, "the first image is the first sample"
        return self._last

    def _due_s(self) -> float:
        return float(Fraction(self._stored) / self._rate)

    def _jpeg(self, image: Image) -> NDArray[np.uint8]:
        """The bytes of the JPEG that the frames stage would keep."""
        frames = self._models.recipe.frames
        picture: Picture
        if frames.decoder == "decord":
            array = image if isinstance(image, np.ndarray) else upright(image)
            picture = picture_of(array, None, frames.short_side, frames.quality)
        else:
            if isinstance(image, np.ndarray):
                image = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            picture = self._convert(image)
        return np.frombuffer(picture.jpeg, dtype=np.uint8).copy()

    def _take(self, jpeg: NDArray[np.uint8]) -> None:
        """One more stored frame, and a prediction where it is that of a sample."""
        # An image that stays has the feature that it had: what was missed costs next to nothing.
        stays = self._clips is None and self._jpegs and np.array_equal(jpeg, self._jpegs[-1])
        self._jpegs.append(jpeg)
        if self._stored % self._every == 0:
            if self._feature is None or not stays:
                self._feature = self._encoded()
            self._last = self._predicted(self._start_s + self._due_s(), self._feature)
        self._stored += 1

    def _encoded(self) -> NDArray[np.float32]:
        """The feature (D,) of the newest frame, or of the clip that ends with it."""
        newest = len(self._jpegs) - 1
        rows = np.array([[newest]])
        if self._clips is not None:
            back = self._clips.step * np.arange(self._clips.frames)[::-1]
            # Before the first frame there is nothing: it repeats.
            rows = np.maximum(newest - back, 0)[None]
        parts = []
        for writer in self._models.writers:
            # One at a time: a whole batch would cost many times as much.
            single = replace(writer, encoder=replace(writer.encoder, batch=1))
            found = of_views(self._jpegs.__getitem__, rows, single, self._pool)
            parts.append(stored_as(found, writer.dtype).astype(np.float32))
        feature: NDArray[np.float32] = np.concatenate(parts, axis=1)[0]
        return feature

    @torch.inference_mode()
    def _predicted(self, at_s: float, feature: NDArray[np.float32]) -> LivePrediction:
        row = torch.from_numpy(feature)[None].to(self._models.device)
        logits, self._state = self._models.network.step(row, self._state)
        header = self._models.header
        probabilities, found, self._smoothing = step(logits[0], header, self._smoothing)
        return LivePrediction(at_s, self._models.recipe.classes[found], probabilities)


def _checked(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"expected (H, W, 3) uint8, found {image.shape} {image.dtype}")
    return image


def _check(models: Loaded) -> None:
    """Whether these models can run live."""
    header, recipe = models.header, models.recipe
    if task_of(header) == "images":
        raise PipelineError(
            "these models were trained on single images (task.kind: images), which have no order. "
            "Live needs models of task.kind: frames."
        )
    if task_of(header) == "video":
        raise PipelineError(
            "these models give one answer per video (task.kind: video), which is known when the "
            "video ends. Live needs models of task.kind: frames."
        )
    if not models.network.causal:
        raise PipelineError(
            f"this temporal model (model.kind: {header['kind']}) looks into the future and cannot "
            "run live. Train a causal one, such as rnn with model.bidirectional: false, or tecno."
        )
    if looks_ahead(header):
        raise PipelineError(
            "these predictions are smoothed over the whole video (section postprocess). Live needs "
            "postprocess.online: true, with kind: median or viterbi, or kind: none."
        )
    if recipe.clips is not None and recipe.clips.position != "past":
        raise PipelineError(
            f"the clips of this backbone are {recipe.clips.position} (backbone.clip.position) and "
            "reach into the future. Live needs position: past."
        )
    if recipe.frames.crop_borders:
        raise PipelineError(
            "these models were trained with frames.crop_borders: true, which finds the view in the "
            "whole video. Live needs models of frames.crop_borders: false."
        )
