"""Predictor: trained models, applied to videos and to live images."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from pipeline.bundle.opened import opened_models
from pipeline.errors import PipelineError, VideoError
from pipeline.evaluate.predict import predict
from pipeline.evaluate.video_answers import answer, mean_answer, members_of
from pipeline.model_pair import task_of
from pipeline.predict.answer import VideoAnswer
from pipeline.predict.container import read_container
from pipeline.predict.encoded import Progressed, encoded_video
from pipeline.predict.images import ClassifiedImages, classify
from pipeline.predict.live import Image, Live, LivePrediction
from pipeline.predict.loaded import device_of, fingerprint_of, load, notes_of, read_models
from pipeline.predict.prediction import Prediction, abstaining, check_abstention
from pipeline.predict.unlike import unlike_features, unlike_files, unlike_frames, unlike_samples
from pipeline.runtime import RuntimeParams
from pipeline.sequences import FrameTarget
from pipeline.sequences import Sequence as Samples

# What models of each task do, and which method of Predictor gives it.
_TASKS = {
    "frames": ("find the phases of frames", "video"),
    "video": ("give one answer per video", "answer"),
    "images": ("tell the class of single images", "images"),
}


class Predictor:
    """Trained models, ready for videos, or for single images, and live where they are causal.

    Nothing but the models is read: no params.yaml, no DVC, no labels. The steps are those of the
    stages, so that a video's prediction is the one that the evaluate stage makes of it, to the last
    bit on the same machine.

    Args:
        models: The folder models/ of a project, or a bundle.
        device: "auto" is a GPU where there is one; "cpu", "cuda" or "cuda:1".
        batch: Images per forward pass on a GPU. It changes the last digits at most.
        threads: Of this process; 0: one per core.

    Attributes:
        classes: Names in class order.
        fps: Samples per second of video.
        image_rate: Images per second that it takes; more than fps where a sample is a clip.
        causal: Whether the temporal model can run live.
        of_videos: Whether there is one answer per video, of `answer`, and not a phase per sample,
            of `video`.
        of_images: Whether there is a class per image, of `images`.
        fingerprint: Of all that decides a prediction besides the video.
        notes: What differs here from where the models were trained, a line each.

    Raises:
        PipelineError: A model file is missing, damaged or foreign, the two do not belong together,
            or there is no such device.
    """

    def __init__(
        self, models: str | Path = "models", device: str = "auto", batch: int = 64, threads: int = 0
    ) -> None:
        self._runtime = RuntimeParams(batch=batch, threads=threads, workers=threads)
        self._pool = ThreadPoolExecutor(self._runtime.worker_count)
        with opened_models(Path(models)) as folder:
            models_read = read_models(folder)
            self._models = load(models_read, folder, device_of(device), self._runtime, self._pool)
        self._live: Live | None = None
        recipe = self._models.recipe
        self.classes = recipe.classes
        self.fps = recipe.fps
        self.image_rate = recipe.frames.rate
        self.causal = bool(self._models.network.causal)
        self.of_videos, self.of_images = models_read.of_videos, models_read.of_images
        self.fingerprint = fingerprint_of(models_read)
        self.notes = notes_of(models_read, self._models.device)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown()

    def video(
        self,
        path: str | Path,
        abstain: float | None = None,
        progressed: Progressed = lambda done, total: None,
    ) -> Prediction:
        """The phases of a video, read once; memory does not grow with it but by its features.

        Args:
            path: The file.
            abstain: Below this probability of the best class, a sample is left without one.
            progressed: Told how many samples of how many are encoded.

        Raises:
            VideoError: The file is missing, no video, or damaged.
            PipelineError: The device has too little memory, `abstain` is no probability, or the
                models give one answer per video.
        """
        self._check_task("frames")
        models = self._models
        check_abstention(abstain, models.header)
        sequence, warnings = self._sequence(Path(path), progressed)
        scored = predict(models.network, models.header, sequence, models.device)
        probabilities = scored.known_probabilities
        return Prediction(
            classes=self.classes,
            fps=self.fps,
            time_s=sequence.time_s,
            classified=abstaining(scored.prediction, probabilities, abstain),
            probabilities=probabilities,
            warnings=warnings,
        )

    def answer(
        self,
        path: str | Path,
        abstain: float | None = None,
        progressed: Progressed = lambda done, of: None,
    ) -> VideoAnswer:
        """The one answer to a video, of models of task.kind: video; read once, as `video` does.

        Args:
            path: The file.
            abstain: Below this probability of the best class, the video is left without one.
            progressed: Told how many samples of how many are encoded.

        Raises:
            VideoError: The file is missing, no video, or damaged.
            PipelineError: The device has too little memory, the models find phases, or they are to
                abstain from a number, which has no probability.
        """
        models, task = self._models, self._models.header.get("task", {})
        self._check_task("video")
        check_abstention(abstain, models.header)
        sequence, warnings = self._sequence(Path(path), progressed)
        members = members_of(models.network, models.header)
        found = mean_answer(
            [answer(own, of, sequence, None, self.classes, models.device) for own, of in members]
        )
        prediction: str | float | None = found.prediction
        if found.probabilities is not None:
            prediction = self.classes[int(found.prediction)]
            if abstain is not None and found.probabilities.max() < abstain:
                prediction = None
        return VideoAnswer(
            target=str(task["target"]),
            scale=str(task["scale"]),
            classes=self.classes,
            prediction=prediction,
            probabilities=np.zeros(0) if found.probabilities is None else found.probabilities,
            fps=self.fps,
            time_s=sequence.time_s,
            attention=found.attention,
            warnings=warnings,
        )

    def images(
        self,
        paths: Sequence[str | Path],
        abstain: float | None = None,
        progressed: Progressed = lambda done, of: None,
    ) -> ClassifiedImages:
        """The classes of single images, of models of task.kind: images.

        Args:
            paths: The files; what is wrong with those that cannot be read is in the result.
            abstain: Below this probability of the best class, an image is left without one.
            progressed: Told how many images of how many are done.

        Raises:
            PipelineError: The device has too little memory, `abstain` is no probability, or the
                models are of videos.
        """
        self._check_task("images")
        check_abstention(abstain, self._models.header)
        files = [Path(path) for path in paths]
        return classify(files, self._models, self._pool, abstain, progressed)

    def _check_task(self, wanted: str) -> None:
        task = task_of(self._models.header)
        if task != wanted:
            does, method = _TASKS[task]
            raise PipelineError(
                f"these models {does} (task.kind: {task}): call `{method}`. Models that "
                f"{_TASKS[wanted][0]} are those of task.kind: {wanted}."
            )

    def _sequence(self, path: Path, progressed: Progressed) -> tuple[Samples, tuple[str, ...]]:
        """A video as the temporal model sees it, and in what it is unlike those of training."""
        models = self._models
        if not path.is_file():
            raise VideoError(path.stem, f"{path} is not a file. Is its name right?")
        video = encoded_video(
            path,
            models.recipe.frames,
            models.writers,
            self._runtime.thread_count,
            self._pool,
            progressed,
        )
        sequence = Samples(
            video=path.stem,
            features=video.features,
            target=FrameTarget(np.full(len(video.time_s), -1, dtype=np.int64)),
            time_s=video.time_s,
            fps=models.recipe.fps,
            weights_hash=str(models.header["weights_hash"]),
            fingerprint="",
        )
        container = read_container(path)
        warnings = (
            *unlike_frames(container, models.recipe.frames),
            *unlike_files(container, models.header),
            *unlike_samples(video.lost),
            *unlike_features(video.features, models.header, Path("temporal.safetensors")),
        )
        return sequence, warnings

    def frame(self, image: Image, time_s: float) -> LivePrediction:
        """The phase now, from an image and those before it, at a cost that stays the same.

        The model sees what it would see in a recording: at each k / fps after the first image, the
        image that is shown then. Others cost next to nothing. An image that stays until after
        k / fps is known to be that one when the next image comes, so give images as they come.

        Args:
            image: (H, W, 3) uint8 RGB, as the camera gives it, or a decoded frame of PyAV's.
            time_s: When it is shown, on any clock; it must rise.

        Returns:
            The prediction at the last k / fps.

        Raises:
            PipelineError: The models look into the future or need the whole video.
            ValueError: The image has another shape, or the time does not rise.
        """
        if self._live is None:
            self._live = Live(self._models, self._pool)
        return self._live.frame(image, time_s)

    def restart(self) -> None:
        """The next image that `frame` is given begins another operation."""
        self._live = None
