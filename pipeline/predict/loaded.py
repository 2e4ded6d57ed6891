"""Both trained networks on a device, ready for videos."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from pipeline.backbone_parts import separated
from pipeline.checkpoint import tensors_hash
from pipeline.code_identity import library_versions
from pipeline.errors import PipelineError
from pipeline.evaluate.predict import load_model
from pipeline.features.build import Plan, build_writer
from pipeline.features.identity import LIBRARIES
from pipeline.features.video import FileWriter
from pipeline.given_features import NETWORK
from pipeline.model_pair import ModelPair, read_pair
from pipeline.networks.temporal.contract import TemporalModule
from pipeline.predict.recipe import Recipe, recipe_of
from pipeline.result_store import fingerprint
from pipeline.runtime import RuntimeParams

Pool = ThreadPoolExecutor

FORMAT_VERSION = 1
"""Of what is written for a video."""


@dataclass(frozen=True)
class Loaded:
    """What leads from the file of a video to its phases.

    Attributes:
        pair: The content of the model files.
        recipe: The parameters of each step.
        writers: Each backbone, on the device.
        network: The temporal model, on the device.
        device: Where both run.
    """

    pair: ModelPair
    recipe: Recipe
    writers: tuple[FileWriter, ...]
    network: TemporalModule
    device: torch.device


def read_models(folder: Path) -> tuple[ModelPair, Recipe]:
    """Both models and what they say of the way from a video to them, checked; nothing is built.

    Args:
        folder: Holds backbone.safetensors and temporal.safetensors.

    Raises:
        PipelineError: A file is missing or damaged, they do not belong together, or they do not say
            all that is needed.
    """
    backbone, temporal = folder / "backbone.safetensors", folder / "temporal.safetensors"
    for path in (backbone, temporal):
        if not path.is_file():
            raise PipelineError(
                f"{path}: not found. --model is the folder models/ of a project after `dvc repro`, "
                "or a file that `python -m pipeline bundle` wrote."
            )
    pair = read_pair(backbone, temporal)
    if pair.backbone_header["name"] == NETWORK:
        raise PipelineError(
            f"{backbone}: holds no network: these models were trained on features that the data "
            "set brought itself, so that nothing leads from a video to a prediction."
        )
    task = pair.temporal_header.get("task", {}).get("kind", "frames")
    if task != "frames":
        raise PipelineError(
            f"{temporal}: gives one answer per video (task.kind: {task}), but predict finds the "
            "phases of frames. Models of task.kind: frames do that."
        )
    return pair, recipe_of(pair, temporal)


def fingerprint_of(pair: ModelPair) -> str:
    """Of all that decides a prediction besides the video."""
    return fingerprint(
        backbone=pair.weights_hash,
        temporal=tensors_hash(pair.temporal),
        header=pair.temporal_header,
        format=FORMAT_VERSION,
    )


def load(folder: Path, device: torch.device, runtime: RuntimeParams, pool: Pool) -> Loaded:
    """The models of a folder.

    Args:
        folder: Holds backbone.safetensors and temporal.safetensors.
        device: Where they will run.
        runtime: Threads, and the batch on a GPU.
        pool: Threads that read JPEGs.

    Raises:
        PipelineError: As read_models; or the device has too little memory.
    """
    pair, recipe = read_models(folder)
    features = recipe.features
    if _needs_another_decoder(recipe, device):
        features = features.model_copy(update={"decoder": "opencv"})
    plan = Plan(folder / "backbone.safetensors", features, runtime, (), {}, recipe.clips)
    writers = tuple(
        build_writer(replace(plan, part=number), device, pool, _silent)
        for number in range(len(separated(pair.backbone, pair.backbone_header)))
    )
    network, _ = load_model(folder / "temporal.safetensors", device)
    return Loaded(pair, recipe, writers, network, device)


def notes_of(pair: ModelPair, recipe: Recipe, device: torch.device) -> tuple[str, ...]:
    """What differs here from where the models were trained, a line each."""
    notes = _other_libraries(pair)
    if _needs_another_decoder(recipe, device):
        notes.append("trained on frames that a GPU decoded: on this CPU, pixels differ a little")
    return tuple(notes)


def _needs_another_decoder(recipe: Recipe, device: torch.device) -> bool:
    return recipe.features.decoder == "nvjpeg" and device.type == "cpu"


def _silent(line: str) -> None:
    """What the features stage says of int8 and of compiling, neither of which is done here."""


def device_of(name: str) -> torch.device:
    """The device of this name; "auto" is the first GPU where there is one.

    Raises:
        PipelineError: There is no such device.
    """
    if name == "auto":
        return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    if device.type == "cuda":
        there = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) < there:
            return torch.device("cuda", device.index or 0)
    elif device.type == "cpu":
        return device
    raise PipelineError(
        f"--device: found {name}, which this machine does not have. Allowed: auto, cpu, and cuda "
        "or cuda:<number> where torch sees a GPU (`python -m pipeline doctor`)."
    )


def _other_libraries(pair: ModelPair) -> list[str]:
    """One line where the libraries that decide the pixels and features are of other versions."""
    recorded = pair.temporal_header.get("libraries", {})
    wanted = {**recorded.get("frames", {}), **recorded.get("features", {})}
    here = library_versions(*LIBRARIES, "av")
    other = [f"{n} {here[n]}, not {v}" for n, v in wanted.items() if here.get(n, v) != v]
    return [f"the last digits may differ from the project's: {'; '.join(other)}"] if other else []
