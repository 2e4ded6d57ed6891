"""Both trained networks on a device, ready for videos."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch

from pipeline.backbone_parts import separated
from pipeline.checkpoint import tensors_hash
from pipeline.code_identity import library_versions
from pipeline.errors import PipelineError
from pipeline.evaluate.predict import load_model
from pipeline.features.build import Plan, build_writer
from pipeline.features.identity import LIBRARIES
from pipeline.features.quantise import engine
from pipeline.features.video import FileWriter
from pipeline.given_features import NETWORK
from pipeline.model_pair import ModelPair, read_pairs, task_of
from pipeline.networks.temporal.contract import TemporalModule
from pipeline.networks.temporal.ensemble import Ensemble
from pipeline.predict.of_folds import side_by_side
from pipeline.predict.recipe import Recipe, recipe_of
from pipeline.result_store import fingerprint
from pipeline.runtime import RuntimeParams

Pool = ThreadPoolExecutor

FORMAT_VERSION = 1
"""Of what is written for a video."""


@dataclass(frozen=True)
class Models:
    """What both files of a folder hold; nothing is built.

    Attributes:
        pairs: By fold, where the features of each fold are its own; else one, under None.
        recipe: The parameters of each step; the same for all folds.
    """

    pairs: Mapping[int | None, ModelPair]
    recipe: Recipe

    @property
    def header(self) -> Mapping[str, Any]:
        """Of the temporal model."""
        return next(iter(self.pairs.values())).temporal_header

    @property
    def of_videos(self) -> bool:
        """Whether there is one answer per video."""
        return task_of(self.header) == "video"

    @property
    def of_images(self) -> bool:
        """Whether they are of single images."""
        return task_of(self.header) == "images"


@dataclass(frozen=True)
class Loaded:
    """What leads from the file of a video to its phases.

    Attributes:
        header: Of the temporal model, as it stands here.
        recipe: The parameters of each step.
        writers: Each backbone, on its device.
        network: The temporal model, on the device.
        device: Where the temporal model runs.
    """

    header: Mapping[str, Any]
    recipe: Recipe
    writers: tuple[FileWriter, ...]
    network: TemporalModule
    device: torch.device


def read_models(folder: Path) -> Models:
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
    pairs = read_pairs(backbone, temporal)
    first = next(iter(pairs.values()))
    if first.backbone_header["name"] == NETWORK:
        raise PipelineError(
            f"{backbone}: holds no network: these models were trained on features that the data "
            "set brought itself, so that nothing leads from a video to a prediction."
        )
    return Models(pairs, recipe_of(first, temporal))


def fingerprint_of(models: Models) -> str:
    """Of all that decides a prediction besides the video."""
    pairs = list(models.pairs.values())
    hashes = [pair.weights_hash for pair in pairs]
    return fingerprint(
        backbone=hashes[0] if len(hashes) == 1 else hashes,
        temporal=tensors_hash(pairs[0].temporal),
        header=models.header,
        format=FORMAT_VERSION,
    )


def load(
    models: Models, folder: Path, device: torch.device, runtime: RuntimeParams, pool: Pool
) -> Loaded:
    """The models of a folder, built.

    Args:
        models: From read_models.
        folder: Holds backbone.safetensors and temporal.safetensors.
        device: Where they will run; int8 runs on the processor.
        runtime: Threads, and the batch on a GPU.
        pool: Threads that read JPEGs.

    Raises:
        PipelineError: The device has too little memory.
    """
    recipe = models.recipe
    features = recipe.features
    if _needs_another_decoder(recipe, device):
        features = features.model_copy(update={"decoder": "opencv"})
    plan = Plan(folder / "backbone.safetensors", features, runtime, (), {}, recipe.clips)
    writers = tuple(
        build_writer(of_network, _device_of_backbones(recipe, device), pool, _silent)
        for fold, pair in models.pairs.items()
        for of_network in _plans(replace(plan, fold=fold), pair)
    )
    network, header = load_model(folder / "temporal.safetensors", device)
    if None not in models.pairs:
        folds = [fold for fold in models.pairs if fold is not None]
        hashes = [pair.weights_hash for pair in models.pairs.values()]
        network, header = side_by_side(cast(Ensemble, network), header, folds, hashes)
    return Loaded(header, recipe, writers, network, device)


def _plans(plan: Plan, pair: ModelPair) -> list[Plan]:
    """A plan for each of the networks side by side."""
    count = len(separated(pair.backbone, pair.backbone_header))
    int8 = pair.temporal_header.get("int8", [{"scales": None}] * count)
    return [replace(plan, part=part, scales=int8[part]["scales"]) for part in range(count)]


def _device_of_backbones(recipe: Recipe, device: torch.device) -> torch.device:
    return torch.device("cpu") if recipe.features.precision == "int8" else device


def notes_of(models: Models, device: torch.device) -> tuple[str, ...]:
    """What differs here from where the models were trained, a line each."""
    header, recipe = models.header, models.recipe
    notes = _other_libraries(header)
    chosen_for = {own["engine"] for own in header.get("int8", [])} - {engine()}
    if chosen_for:
        notes.append(
            f"the scales of int8 were chosen for the kernels {', '.join(chosen_for)}, here they "
            f"are {engine()}: features differ a little"
        )
    if _needs_another_decoder(recipe, device):
        notes.append("trained on frames that a GPU decoded: on this CPU, pixels differ a little")
    return tuple(notes)


def _needs_another_decoder(recipe: Recipe, device: torch.device) -> bool:
    return recipe.features.decoder == "nvjpeg" and device.type == "cpu"


def _silent(line: str) -> None:
    """What the features stage says while it takes scales and compiles; neither is done here."""


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


def _other_libraries(header: Mapping[str, Any]) -> list[str]:
    """One line where the libraries that decide the pixels and features are of other versions."""
    recorded = header.get("libraries", {})
    wanted = {**recorded.get("frames", {}), **recorded.get("features", {})}
    here = library_versions(*LIBRARIES, "av", "pillow")
    other = [f"{n} {here[n]}, not {v}" for n, v in wanted.items() if here.get(n, v) != v]
    return [f"the last digits may differ from the project's: {'; '.join(other)}"] if other else []
