"""The features stage: data/frames/<video>.h5 to features/videos/<video>.h5, through the store."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from pipeline.backbone_parts import Tensors, separated
from pipeline.checkpoint import load_checkpoint, tensors_hash
from pipeline.clips import Clips, recorded_clips
from pipeline.errors import PipelineError
from pipeline.features.build import Plan
from pipeline.features.devices import advice, devices_for
from pipeline.features.elsewhere import encode_elsewhere
from pipeline.features.enlarged import enlarged_note
from pipeline.features.fitting_batch import FittingWriter
from pipeline.features.given import take_given
from pipeline.features.identity import features_fingerprint, parts_of_all
from pipeline.features.kept_scales import kept_scales
from pipeline.features.params import FeaturesParams
from pipeline.features.precision import check_precision
from pipeline.features.quantisation_frames import quantisation_videos
from pipeline.features.recipe import labels_of, read_frames_recipe
from pipeline.features.shards import compute_on_all
from pipeline.features.side_by_side import write_side_by_side
from pipeline.features.video import MissingVideo, short_side_px
from pipeline.features.views import NUM_VIEWS, views
from pipeline.fold_backbones import backbone_of_fold, folds_in
from pipeline.frame_store import FrameFile
from pipeline.given_features import table_of
from pipeline.networks.backbones import build_backbone
from pipeline.networks.backbones.contract import Backbone
from pipeline.networks.backbones.crop import check_crop
from pipeline.networks.backbones.transform import Transform
from pipeline.networks.backbones.transform_record import read_transform
from pipeline.networks.cost import image_cost
from pipeline.paths import BACKBONE, FEATURES, FRAMES, INDEX, fold_folder
from pipeline.progress import Progress
from pipeline.result_store import Store, spread
from pipeline.runtime import read_runtime
from pipeline.settings import read_section
from pipeline.tables import read_folds, read_masked, read_skipped, read_splits, write_table


@dataclass(frozen=True)
class Frames:
    """What the stage knows of a container of frames before it reads any.

    Attributes:
        fingerprint: Names their content.
        short_side_px: The shorter side.
    """

    fingerprint: str
    short_side_px: int


@dataclass(frozen=True)
class Network:
    """One of the networks side by side in models/backbone.safetensors, or the only one.

    Attributes:
        number: Of the network in the file, from 0.
        backbone: Without memory.
        weights_hash: Of its tensors.
        transform: After the crop.
    """

    number: int
    backbone: Backbone
    weights_hash: str
    transform: Transform


def run(
    frames: Path = FRAMES,
    backbone: Path = BACKBONE,
    output: Path = FEATURES,
    index: Path = INDEX,
) -> str:
    """Take the features that are in the store, compute the others, fill the output folder.

    With a backbone per fold, and with scales of int8 per fold, the output has a folder per fold
    with the features of all videos.

    Returns:
        One line for the terminal.

    Raises:
        PipelineError: No frames, no weights, a precision that the backbone or the machine cannot
            give, or features that the chosen dtype cannot hold.
    """
    params = read_section(FeaturesParams, "features")
    for left in output.glob("fold_*"):  # of an earlier run; what reads features would take them
        shutil.rmtree(left)
    if table_of(frames).is_file():
        return take_given(frames, backbone, output, params)
    containers = _containers(frames)
    pinned = load_checkpoint(backbone)
    taken = read_frames_recipe(frames)
    plan = Plan(backbone, params, read_runtime(), (), {}, _clips(taken, pinned[1]))
    folds, computed = _folds(pinned[1], params, index), 0
    for fold in folds:
        quantisation = _quantisation(containers, params, index, fold)
        of_fold = replace(plan, quantisation=quantisation, fold=fold)
        whole = backbone_of_fold(*pinned, fold)
        computed += _fill(fold_folder(output, fold), containers, whole, of_fold, taken)
    for folder in {output, *(fold_folder(output, fold) for fold in folds)}:
        write_table(read_skipped(frames), folder / "skipped.csv")
        write_table(read_masked(frames), folder / "masked.csv")
    of_all = "" if None in folds else f" in each of {len(folds)} folds"
    return f"{output}: {len(containers)} videos{of_all}, {computed} computed"


def _folds(
    header: Mapping[str, Any], params: FeaturesParams, index: Path
) -> tuple[int | None, ...]:
    """The folds whose features differ; (None,) where all share theirs."""
    return read_folds(index) if params.precision == "int8" else folds_in(header)


def _fill(
    output: Path,
    containers: Mapping[Path, Frames],
    whole: tuple[Tensors, dict[str, Any]],
    plan: Plan,
    taken: Mapping[str, Any],
) -> int:
    """Fill a folder with the features of all videos by one backbone; how many were computed."""
    (tensors, header), params = whole, plan.params
    parts = separated(tensors, header)
    networks = [_network(number, *part, params) for number, part in enumerate(parts)]
    store, computed = Store("features"), set[Path]()
    names: list[dict[Path, str]] = []
    int8: list[dict[str, Any]] = []
    for network in networks:
        of_network = replace(plan, part=network.number)
        decided_by = _parts(network, plan, containers)
        if params.precision == "int8":
            int8.append(kept_scales(of_network, decided_by))
            of_network = replace(of_network, scales=int8[-1]["scales"])
        of_videos, missing = _in_store(network, of_network, decided_by, containers, store)
        names.append(of_videos)
        computed |= missing
    of_all = {"backbone": header["name"], "weights_hash": tensors_hash(tensors)}
    for path in containers:
        labels = labels_of(path.stem, taken, params, header, int8)
        of_video = [of_videos[path] for of_videos in names]
        if len(of_video) == 1:
            store.fill(of_video[0], output / path.name, labels)
        else:
            write_side_by_side(of_video, store, output / path.name, of_all | labels)
    return len(computed)


def _network(
    number: int, tensors: Tensors, header: Mapping[str, Any], params: FeaturesParams
) -> Network:
    """What is known of a network; checks that its features can be had as params.yaml wants them."""
    with torch.device("meta"):  # no memory, no numbers
        backbone = build_backbone(header["name"])
    check_precision(backbone, params.precision)
    transform = read_transform(header["transform"]).cropped(params.crop)
    check_crop(backbone, transform.crop_px, "features.crop")
    views(transform, params.tta)  # not every transform has them
    return Network(number, backbone, tensors_hash(tensors), transform)


def _parts(network: Network, plan: Plan, containers: Mapping[Path, Frames]) -> dict[str, Any]:
    """What decides one network's features of every video, apart from its frames."""
    return parts_of_all(
        network.backbone.name,
        network.weights_hash,
        network.transform,
        plan.params,
        [containers[path].fingerprint for path in plan.quantisation],
        plan.clips,
    )


def _in_store(
    network: Network,
    plan: Plan,
    parts: dict[str, Any],
    containers: Mapping[Path, Frames],
    store: Store,
) -> tuple[dict[Path, str], set[Path]]:
    """Make sure that the store holds one network's features of all videos.

    Returns:
        The fingerprint of each container's features, and the containers that it did not know.
    """
    backbone, transform, params = network.backbone, network.transform, plan.params
    names = {
        path: features_fingerprint(found.fingerprint, parts) for path, found in containers.items()
    }
    missing = [
        MissingVideo(path, store.path(name), name)
        for path, name in names.items()
        if not store.has(name)
    ]
    if missing:
        attributes = _attributes(backbone, network.weights_hash, params, transform, plan.clips)
        sides = [containers[video.container].short_side_px for video in missing]
        note = enlarged_note(backbone.name, sides, transform)
        missing = spread(missing, lambda video: video.target)
        _encode(missing, replace(plan, attributes=attributes), note)
    return names, {video.container for video in missing}


def _clips(taken: Mapping[str, Any], header: Mapping[str, Any]) -> Clips | None:
    """Which frames make a clip, where the backbone reads clips."""
    if taken.get("clip") != header.get("clip"):
        raise PipelineError(
            f"{FRAMES}/recipe.json: frames are stored for backbone.clip: {taken.get('clip')}, but "
            f"{BACKBONE} reads {header.get('clip')}. Run `dvc repro`."
        )
    return recorded_clips(taken)


def _containers(frames: Path) -> dict[Path, Frames]:
    found = {}
    for path in sorted(frames.glob("*.h5")):
        with FrameFile(path) as file:
            found[path] = Frames(str(file.attributes["fingerprint"]), short_side_px(file))
    if not found:
        raise PipelineError(f"{frames}: holds no frames. Run `dvc repro frames` first.")
    return found


def _quantisation(
    containers: Mapping[Path, Frames], params: FeaturesParams, index: Path, fold: int | None
) -> list[Path]:
    """The containers that int8 takes its scales from; none in other precisions."""
    if params.precision != "int8":
        return []
    splits = read_splits(index, fold)
    training = set(splits["video"][splits["split"] == "train"])
    fingerprints = {path: found.fingerprint for path, found in containers.items()}
    return quantisation_videos(fingerprints, training)


def _attributes(
    backbone: Backbone,
    weights_hash: str,
    params: FeaturesParams,
    transform: Transform,
    clips: Clips | None,
) -> dict[str, Any]:
    """What every file says about itself; nothing that could differ between equal features."""
    cost = image_cost(backbone.network.eval(), transform.crop_px, backbone.clip_frames)
    facts = {
        "backbone": backbone.name,
        "backbone_parameters": cost.parameters,
        "backbone_flops_per_frame": cost.flops_per_frame * NUM_VIEWS[params.tta],
        "weights_hash": weights_hash,
        "precision": params.precision,
        "jpeg_decoder": params.decoder,
        "torch": str(torch.__version__),
        "crop": transform.crop_px,
    }
    if params.tta != "none":
        facts["tta"] = params.tta
    if clips is not None:
        facts |= {
            "clip_frames": clips.frames,
            "clip_position": clips.position,
            # Sample k is stored frame k times this.
            "stored_frames_per_sample": clips.every,
        }
    return facts


def _encode(missing: Sequence[MissingVideo], plan: Plan, note: str | None) -> None:
    """Compute what is missing, on as many devices as the run may use, or elsewhere."""
    if plan.runtime.executor != "local":
        encode_elsewhere(missing, plan, note)
        return
    devices = devices_for(plan.runtime, plan.params)[: len(missing)]
    name, precision = plan.attributes["backbone"], plan.params.precision
    with Progress("features", len(missing), plan.runtime.progress) as progress:
        listed = ", ".join(str(device) for device in devices)
        progress.say(f"features: {name}, {precision}, on {listed}")
        for line in (note, advice(devices[0], precision)):
            if line:
                progress.say(f"features: {line}")
        for video, result in _encoded(missing, plan, devices, progress):
            progress.step(video.container.stem, result)


def _encoded(
    missing: Sequence[MissingVideo],
    plan: Plan,
    devices: Sequence[torch.device],
    progress: Progress,
) -> Iterator[tuple[MissingVideo, str]]:
    if len(devices) > 1:
        yield from compute_on_all(missing, plan, devices)
        return
    with ThreadPoolExecutor(plan.runtime.worker_count) as pool:
        write = FittingWriter(plan, devices[0], pool, progress.say)
        for video in missing:
            yield video, write(video)
