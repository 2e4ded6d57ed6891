"""Exported models in ONNX Runtime. Needs NumPy and onnxruntime, and neither torch nor a project."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import PipelineError
from pipeline.export.pair import BACKBONE, TEMPORAL, check_pair

FORMAT_VERSION = 1
"""Of the names and metadata of exported files."""

INSTALL = "pip install 'surgical-phase-pipeline[onnx]'"

Floats = NDArray[np.float32]
State = list[Floats]


class OnnxModel:
    """One exported file, ready to run.

    Args:
        path: The file.
        threads: 0: one per core.

    Attributes:
        metadata: What the file says of itself, by name.

    Raises:
        PipelineError: onnxruntime is not installed, or the file is missing, damaged or foreign.
    """

    def __init__(self, path: Path, threads: int = 0) -> None:
        ort = onnxruntime()
        if not path.is_file():
            raise PipelineError(
                f"{path}: not found. `python -m pipeline export --to onnx` makes it."
            )
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 4  # an error is raised, and need not be printed too
        wanted = ("CUDAExecutionProvider", "CPUExecutionProvider")
        providers = [name for name in wanted if name in ort.get_available_providers()]
        # ONNX Runtime's own errors have no ancestor but Exception.
        try:
            self._session = ort.InferenceSession(str(path), options, providers=providers)
        except Exception as error:
            raise PipelineError(f"{path}: not a whole ONNX file ({error}).") from None
        self.metadata = _read_metadata(self._session.get_modelmeta().custom_metadata_map)
        if "format" not in self.metadata:
            raise PipelineError(
                f"{path}: says nothing of a model of this project; another program wrote it. Take "
                "a file that `python -m pipeline export --to onnx` wrote."
            )
        if self.metadata["format"] != FORMAT_VERSION:
            raise PipelineError(
                f"{path}: format {self.metadata['format']}, this program reads {FORMAT_VERSION}. "
                "`python -m pipeline export --to onnx` writes it anew."
            )
        self._inputs = self._session.get_inputs()

    def run(self, *values: NDArray[Any]) -> list[Floats]:
        """All outputs of the graph, for its inputs in their order."""
        names = [found.name for found in self._inputs]
        outputs: list[Floats] = self._session.run(None, dict(zip(names, values, strict=True)))
        return outputs

    def blank_state(self, batch: int) -> State:
        """Zeros for every input but the first: the state at a video's start."""
        return [
            np.zeros([size if isinstance(size, int) else batch for size in found.shape], np.float32)
            for found in self._inputs[1:]
        ]


class OnnxModels:
    """Both exported networks: images to features, features to logits.

    Args:
        folder: Holds backbone.onnx and temporal.onnx.
        threads: 0: one per core.

    Attributes:
        backbone: Metadata of the backbone.
        temporal: Metadata of the temporal model; holds `classes`, `fps`, and how its probabilities
            are calibrated and smoothed (`temperature`, `postprocess`).

    Raises:
        PipelineError: As OnnxModel; or the two do not belong together.
    """

    def __init__(self, folder: Path, threads: int = 0) -> None:
        self._backbone = OnnxModel(folder / BACKBONE, threads)
        self._temporal = OnnxModel(folder / TEMPORAL, threads)
        self.backbone, self.temporal = self._backbone.metadata, self._temporal.metadata
        check_pair(folder, self.backbone, self.temporal)

    @property
    def causal(self) -> bool:
        """Whether the temporal model can answer frame by frame."""
        return bool(self.temporal["form"] == "step")

    @property
    def of_videos(self) -> bool:
        """Whether there is one answer per video, of `answer`, and no logits of frames."""
        return bool(self.temporal["form"] == "answer")

    def features(self, images: NDArray[np.uint8]) -> Floats:
        """Features (N, D) of images (N, 3, H, W) uint8, as backbone["transform"] prepares them."""
        return self._backbone.run(images)[0]

    def logits(self, features: Floats) -> Floats:
        """Logits (T, C) of the features (T, D) of a whole video.

        Raises:
            PipelineError: The temporal model gives one answer per video.
        """
        if self.of_videos:
            raise PipelineError(
                "this temporal model gives one answer per video (task.kind: video): call `answer`."
            )
        if not self.causal:
            whole: Floats = self._temporal.run(features[None])[0][0]
            return whole
        state: State | None = None
        rows = []
        for feature in features:
            row, state = self.step(feature[None], state)
            rows.append(row[0])
        return np.stack(rows)

    def answer(self, features: Floats) -> tuple[Floats, Floats]:
        """The answer of M networks to the features (T, D) of a whole video.

        pipeline.export.answers makes probabilities or a number of it.

        Returns:
            Logits (M, C), and how much each frame counted, (M, T), rows sum to 1.

        Raises:
            PipelineError: The temporal model finds phases.
        """
        if not self.of_videos:
            raise PipelineError(
                "this temporal model finds the phases of frames (task.kind: frames): call `logits`."
            )
        logits, attention = self._temporal.run(features[None])
        return logits, attention

    def step(self, feature: Floats, state: State | None = None) -> tuple[Floats, State]:
        """Logits (B, C) of one more frame of B videos, and the state for the next one.

        Args:
            feature: (B, D).
            state: What the step before returned; None at a video's start.

        Raises:
            PipelineError: The temporal model needs the whole video.
        """
        if not self.causal:
            raise PipelineError(
                "this temporal model looks into the future and cannot run frame by frame. Train a "
                "causal one, such as tecno, and export it."
            )
        if state is None:
            state = self._temporal.blank_state(len(feature))
        logits, *after = self._temporal.run(feature, *state)
        return logits, after


def _read_metadata(texts: Mapping[str, str]) -> dict[str, Any]:
    """Each entry's JSON; nothing of a file that another program wrote."""
    if "format" not in texts:
        return {}
    try:
        return {
            name: json.loads(text)
            for name, text in texts.items()
            if not name.startswith("onnx.")  # of the tools that quantise
        }
    except ValueError:
        return {}


def onnxruntime() -> ModuleType:
    """The library.

    Raises:
        PipelineError: It is not installed.
    """
    try:
        import onnxruntime
    except ModuleNotFoundError:
        raise PipelineError(f"ONNX Runtime is not installed. Run: {INSTALL}") from None
    module: ModuleType = onnxruntime
    return module
