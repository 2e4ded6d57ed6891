"""The command `predict` with models in ONNX: on a machine without torch."""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.atomic import remove_abandoned
from pipeline.errors import PipelineError, VideoError
from pipeline.export import answers
from pipeline.export.pair import BACKBONE, TEMPORAL, check_current
from pipeline.export.phases import phases
from pipeline.export.prepare import prepared
from pipeline.export.runtime import Floats, OnnxModels
from pipeline.features.jpeg import decoded
from pipeline.features.rows import stored_as, with_lost
from pipeline.frames.extract import SampledVideo, extract, extract_damaged
from pipeline.frames.params import FramesParams
from pipeline.predict import answer_files
from pipeline.predict.answer import VideoAnswer
from pipeline.predict.container import read_container
from pipeline.predict.inputs import find_videos
from pipeline.predict.outputs import ENDINGS, is_written, made_by, write_outputs
from pipeline.predict.prediction import Prediction, abstaining, check_abstention
from pipeline.predict.unlike import unlike_features, unlike_files, unlike_frames, unlike_samples
from pipeline.progress import Progress
from pipeline.result_store import file_hash, fingerprint
from pipeline.runtime import cores
from pipeline.settings import check_section

_BATCH = 16


class OnnxPredictor:
    """Exported models, ready for videos.

    Args:
        folder: Holds backbone.onnx and temporal.onnx.
        models: Where the models may lie that they were made from; None: nobody asks.

    Attributes:
        header: Of the temporal model.
        fingerprint: Of all that decides a prediction besides the video.

    Raises:
        PipelineError: onnxruntime or a file is missing, the two do not belong together, or the
            models were trained anew since.
    """

    def __init__(self, folder: Path, models: Path | None = None) -> None:
        self._models = OnnxModels(folder)
        if models is not None:
            check_current(folder, models, self._models.backbone, self._models.temporal)
        self._path = folder / TEMPORAL
        self.header = header = self._models.temporal
        self._frames = check_section(FramesParams, "frames", header["frames"], self._path)
        self.fingerprint = fingerprint(
            backbone=file_hash(folder / BACKBONE), temporal=file_hash(self._path)
        )

    @property
    def of_videos(self) -> bool:
        """Whether there is one answer per video, of `answer`, and no phases, of `video`."""
        return self._models.of_videos

    def video(self, path: Path, abstain: float | None = None) -> Prediction:
        """The phases of a video; see Predictor.video.

        Raises:
            VideoError: The file is missing, no video, or damaged.
        """
        stored, time_s, warnings = self._read(path)
        logits = self._models.logits(stored.astype(np.float32))
        probabilities, classified = phases(logits, self.header)
        return Prediction(
            classes=tuple(self.header["classes"]),
            fps=float(self.header["fps"]),
            time_s=time_s,
            classified=abstaining(classified, probabilities, abstain),
            probabilities=probabilities,
            warnings=warnings,
        )

    def answer(self, path: Path, abstain: float | None = None) -> VideoAnswer:
        """The one answer to a video; see Predictor.answer.

        Raises:
            VideoError: The file is missing, no video, or damaged.
        """
        stored, time_s, warnings = self._read(path)
        logits, attention = self._models.answer(stored.astype(np.float32))
        classes, task = tuple(self.header["classes"]), self.header["task"]
        chances = answers.probabilities(logits) if classes else np.zeros(0)
        prediction: str | float | None
        if not classes:
            prediction = answers.score(logits, self.header)
        elif abstain is not None and chances.max() < abstain:
            prediction = None
        else:
            prediction = classes[int(chances.argmax())]
        return VideoAnswer(
            target=str(task["target"]),
            scale=str(task["scale"]),
            classes=classes,
            prediction=prediction,
            probabilities=chances,
            fps=float(self.header["fps"]),
            time_s=time_s,
            attention=attention.astype(np.float64).mean(axis=0),
            warnings=warnings,
        )

    def _read(self, path: Path) -> tuple[NDArray[Any], NDArray[np.float64], tuple[str, ...]]:
        """Features (T, D) as stored, the times of their samples, and what is unlike training."""
        if not path.is_file():
            raise VideoError(path.stem, f"{path} is not a file. Is its name right?")
        sampled = self._sampled(path)
        lost, header = sampled.samples.lost, self.header
        if lost.all():
            raise VideoError(path.stem, f"{path}: none of its {len(lost)} samples decodes whole.")
        stored = stored_as(with_lost(self._features(sampled), lost), header["features"]["dtype"])
        container = read_container(path)
        warnings = (
            *unlike_frames(container, self._frames),
            *unlike_files(container, header),
            *unlike_samples(lost),
            *unlike_features(stored, header, self._path),
        )
        return stored, sampled.samples.time_s, warnings

    def _sampled(self, path: Path) -> SampledVideo:
        try:
            return extract(path.stem, path, self._frames, cores())
        except VideoError as damage:
            if self._frames.on_error != "mask":
                raise
            try:
                return extract_damaged(path.stem, path, self._frames, cores())
            except VideoError:
                raise damage from None

    def _features(self, sampled: SampledVideo) -> Floats:
        """(K, D) of the samples that have their frame."""
        transform = self._models.backbone["transform"]
        rows = sampled.samples.frames[~sampled.samples.lost, 0]
        images = (
            prepared(decoded(np.frombuffer(picture.jpeg, dtype=np.uint8)), transform)
            for picture in sampled.pictures
        )
        parts = []
        while batch := list(islice(images, _BATCH)):
            parts.append(self._models.features(np.stack(batch)))
        # A frame that several samples show is encoded once.
        found: Floats = np.concatenate(parts)[rows]
        return found


def predict_videos(asked: Sequence[str], models: Path, out: Path, abstain: float | None) -> str:
    """Predict each video that is named, one after the other.

    Args:
        asked: Files, folders and patterns.
        models: Folder of the exported models, or one that holds it under the name onnx.
        out: Folder of the files.
        abstain: As in Predictor.video.

    Returns:
        One line for the terminal.

    Raises:
        PipelineError: The models cannot be used; or videos cannot be read, after all others were.
    """
    videos = find_videos(asked)
    remove_abandoned(out)
    if (models / "onnx").is_dir():
        predictor = OnnxPredictor(models / "onnx", models)
    else:
        predictor = OnnxPredictor(models)
    check_abstention(abstain, predictor.header)
    endings = answer_files.ENDINGS if predictor.of_videos else ENDINGS
    failed, kept = [], 0
    with Progress("predict", len(videos)) as progress:
        for video in videos:
            by = made_by(video, predictor.fingerprint, abstain)
            if is_written(video, out, by, endings):
                kept += 1
                progress.step(video.stem, "there already")
                continue
            try:
                warnings = _write(predictor, video, out, abstain, by)
            except PipelineError as error:
                failed.append(str(error))
                progress.step(video.stem, f"FAILED: {error}")
                continue
            progress.step(video.stem)
            for line in warnings:
                progress.say(f"predict: {video.stem}: {line}")
    if failed:
        lines = "\n".join(f"  {line}" for line in failed)
        raise PipelineError(
            f"{len(failed)} of {len(videos)} videos failed; the others are in {out}:\n{lines}"
        )
    return f"{out}: {len(videos)} videos, {len(videos) - kept} predicted"


def _write(
    predictor: OnnxPredictor, video: Path, out: Path, abstain: float | None, by: dict[str, Any]
) -> tuple[str, ...]:
    """Predict a video and write its files; the warnings."""
    if predictor.of_videos:
        answer = predictor.answer(video, abstain)
        answer_files.write_answer(answer, video, out, by)
        return answer.warnings
    prediction = predictor.video(video, abstain)
    write_outputs(prediction, video, out, by)
    return prediction.warnings
