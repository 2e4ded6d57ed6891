"""The backbone stage: the network, trained where asked, to models/backbone.safetensors."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline.backbone.adabn import evenly_spaced
from pipeline.backbone.adapting import Adaptation, adapted
from pipeline.backbone.hybrid_weights import initial_weights_of
from pipeline.backbone.labelled_frames import LabelledFrames
from pipeline.backbone.metrics_file import write_metrics
from pipeline.backbone.params import BackboneParams
from pipeline.backbone.params_finetune import AdabnParams
from pipeline.backbone.preconditions import check_backbone, check_training
from pipeline.backbone.read_frames import read_classes, read_frames, read_tool_names
from pipeline.backbone.stored import LIBRARIES
from pipeline.backbone.task import FineTuning
from pipeline.backbone.weights import InitialWeights
from pipeline.checkpoint import save_checkpoint, tensors_hash
from pipeline.code_identity import library_versions
from pipeline.errors import PipelineError
from pipeline.fold_backbones import joined_folds
from pipeline.given_features import NETWORK, table_of
from pipeline.networks.backbones import libraries_of
from pipeline.networks.backbones.transform_record import recorded
from pipeline.paths import BACKBONE, BACKBONE_RECURRENT, BACKBONE_REPORT, FRAMES, fold_folder
from pipeline.runtime import RuntimeParams, read_runtime
from pipeline.seeding import derived_seed
from pipeline.settings import read_raw_section, read_section, read_value
from pipeline.tables import SPLITS, read_folds
from pipeline.training.state import Tensors

# What trains and what draws is imported where it is needed: a frozen backbone needs neither
# Lightning nor Matplotlib.
if TYPE_CHECKING:
    from pipeline.backbone.context_loop import ContextTuning
    from pipeline.backbone.fine_tuning import FineTuned


def run(output: Path = BACKBONE, reports: Path = BACKBONE_REPORT) -> str:
    """Read, fetch or draw the weights, train or adapt them, and write them with their history.

    With several folds, what trains or adapts is done for each of them: no backbone has learnt from
    the test videos of its fold. Each is found in the store if that fold was ever run alone.

    Returns:
        One line for the terminal.

    Raises:
        PipelineError: No such weights, or they belong to another architecture; or there is
            nothing to train or adapt them with.
    """
    params = read_section(BackboneParams, "backbone")
    if table_of(FRAMES).is_file():
        return _without_network(output, reports)
    check_backbone(params)
    seed = read_value("seed", int)
    initial = initial_weights_of(params, seed)
    _warn_of_leak(initial.source)
    folds = (None,) if params.mode == "frozen" else read_folds()
    made = {f: _made(params, initial, seed, f, fold_folder(reports, f)) for f in folds}
    members = {f: (own.tensors, own.header) for f, own in made.items() if f is not None}
    tensors, header = joined_folds(members) if members else made[None][:2]
    save_checkpoint(output, tensors, header)
    done = "".join(f"{f'; fold {f}' if f else ''}{own.done}" for f, own in made.items())
    return f"{output}: {params.network}, weights {header['weights']}{done}, {header['dim']}-d"


class _Made(NamedTuple):
    """A backbone, and in words what was done to it."""

    tensors: Tensors
    header: dict[str, Any]
    done: str


def _made(
    params: BackboneParams, initial: InitialWeights, seed: int, fold: int | None, reports: Path
) -> _Made:
    """The backbone of a fold, or the only one; writes its reports."""
    tensors, transform = initial.tensors, initial.transform.cropped(params.crop)
    # Before hours of training: these frames may be what is missing.
    others = _frames_to_adapt_to(params.adabn, fold) if params.adapts else None
    header = header_of(params, initial)
    done = ""
    in_context: ContextTuning | None = None
    recurrent: Tensors = {}
    if params.finetunes and params.finetune.context is not None:
        in_context = _context_tuning(params, initial, derived_seed(seed, "finetune"), fold)
        result, recurrent, header["finetune"] = _in_context(
            in_context, read_runtime(), reports, fold
        )
        header["seed"] = seed
        tensors = result.weights
        done += f", fine-tuned with context, epoch {result.best.epoch}"
    elif params.finetunes:
        tuning = _fine_tuning(params, initial, derived_seed(seed, "finetune"), fold)
        result, header["finetune"] = _fine_tuned(tuning, read_runtime(), reports, fold)
        header["seed"] = seed
        tensors = result.weights
        done += f", fine-tuned on {len(tuning.training)} frames, epoch {result.best.epoch}"
    else:
        # The folder is an output of the stage in every mode.
        write_metrics(reports, {"training_frames": 0})
    if others is not None:
        adaptation = Adaptation(params.network, tensors, transform, others, params.adabn.batch)
        tensors = adapted(adaptation, read_runtime())
        header["adabn"] = {
            "split": params.adabn.split,
            "videos": [path.stem for path in others.containers],
            "frames": len(others),
        }
        done += f", batch norm of {len(others)} frames of {params.adabn.split}"
    header["tensors_hash"] = tensors_hash(tensors)
    if in_context is not None:
        from pipeline.backbone.context import recurrent_header

        described = recurrent_header(in_context, header["tensors_hash"])
        save_checkpoint(reports / BACKBONE_RECURRENT.name, recurrent, described)
    return _Made(tensors, header, done)


def _without_network(output: Path, reports: Path) -> str:
    """Write files that say so: the data set brings its features itself."""
    header = {"name": NETWORK, "weights": "none", "mode": "frozen", "params": {}}
    save_checkpoint(output, {}, header | {"tensors_hash": tensors_hash({})})
    write_metrics(reports, {"training_frames": 0})
    return f"{output}: no network, features are given"


def header_of(params: BackboneParams, initial: InitialWeights) -> dict[str, Any]:
    """All that leads from an image to features, and what was done to the weights; no paths."""
    header = {
        "name": params.network,
        "dim": initial.dim,
        "transform": recorded(initial.transform),
        "mode": params.mode,
        "params": params.deciding(),
        "libraries": library_versions(*LIBRARIES, *libraries_of(params.network)),
    }
    if params.side_by_side:
        del header["transform"]  # each network has its own
    if params.clip is not None:
        header["clip"] = params.clip.model_dump()
    if params.mode != "frozen":
        recipe = json.loads((FRAMES / "recipe.json").read_text(encoding="utf-8"))
        # What a reader needs to make such frames; what became of damaged videos is not part of it.
        header["frames"] = {k: v for k, v in recipe.items() if k not in ("code", "on_error")}
    return header | initial.source


def _warn_of_leak(source: Mapping[str, Any]) -> None:
    """Say so where weights have seen the videos that they are going to be judged by."""
    leaks = [part for part in source.get("parts", [source]) if part.get("weights_leak")]
    if not leaks or read_raw_section("data").get("layout") != "cholec80":
        return
    for part in leaks:
        print(
            f"backbone: {part['weights']}: {part['weights_leak']}. Scores on test videos that are "
            "among them are too high; say so where you report them",
            file=sys.stderr,
        )


def _fine_tuning(
    params: BackboneParams, initial: InitialWeights, seed: int, fold: int | None
) -> FineTuning:
    target = params.finetune.target
    training = read_frames(("train",), target=target, fold=fold).labelled()
    validation = read_frames(("val",), target=target, fold=fold).labelled()
    if not params.finetune.tools:
        training, validation = training.without_tools(), validation.without_tools()
    return FineTuning(
        name=params.network,
        tensors=initial.tensors,
        transform=initial.transform.cropped(params.crop),
        training=training,
        validation=validation,
        num_classes=len(read_classes(target, fold=fold)),
        params=params.finetune,
        seed=seed,
    )


def _fine_tuned(
    tuning: FineTuning, runtime: RuntimeParams, reports: Path, fold: int | None
) -> tuple["FineTuned", dict[str, Any]]:
    """The result of a training, its report, and facts for the header."""
    from pipeline.backbone.fine_tuning import fine_tuned

    check_training(tuning.training, tuning.validation, tuning.params, runtime)
    result = fine_tuned(tuning, runtime, reports)
    tools = read_tool_names() if tuning.num_tools else ()
    classes = read_classes(tuning.params.target, fold=fold)
    described = _reported(
        tuning, tuning.training, tuning.validation, result, classes, tools, reports
    )
    return result, described


def _context_tuning(
    params: BackboneParams, initial: InitialWeights, seed: int, fold: int | None
) -> "ContextTuning":
    from pipeline.backbone.context import samples_between
    from pipeline.backbone.context_loop import ContextTuning

    context, target = params.finetune.context, params.finetune.target
    assert context is not None
    recipe = json.loads((FRAMES / "recipe.json").read_text(encoding="utf-8"))
    return ContextTuning(
        name=params.network,
        tensors=initial.tensors,
        transform=initial.transform.cropped(params.crop),
        training=read_frames(("train",), target=target, fold=fold).without_tools(),
        validation=read_frames(("val",), target=target, fold=fold).without_tools(),
        num_classes=len(read_classes(target, fold=fold)),
        params=params.finetune,
        every=samples_between(context, recipe["fps"]),
        seed=seed,
    )


def _in_context(
    tuning: "ContextTuning", runtime: RuntimeParams, reports: Path, fold: int | None
) -> tuple["FineTuned", Tensors, dict[str, Any]]:
    """The result of a training with context, the weights of its RNN, and facts for the header."""
    from pipeline.backbone.context import fine_tuned_in_context

    training, validation = tuning.training.labelled(), tuning.validation.labelled()
    check_training(training, validation, tuning.params, runtime)
    result, recurrent = fine_tuned_in_context(tuning, runtime, reports)
    classes = read_classes(tuning.params.target, fold=fold)
    described = _reported(tuning, training, validation, result, classes, (), reports)
    return result, recurrent, described


def _reported(
    tuning: "FineTuning | ContextTuning",
    training: LabelledFrames,
    validation: LabelledFrames,
    result: "FineTuned",
    classes: tuple[str, ...],
    tools: tuple[str, ...],
    reports: Path,
) -> dict[str, Any]:
    """Write the report of a training; facts for the header."""
    from pipeline.backbone.report import write_report

    write_report(reports, result, validation, len(training), classes, tools)
    return {
        "target": tuning.params.target,
        "strategy": tuning.params.strategy,
        "training_frames": len(training),
        "training_videos": len(training.containers),
        "epochs": len(result.history),
        "best_epoch": result.best.epoch,
        "val_macro_f1": result.best.val_macro_f1,
        "crop_px": tuning.transform.crop_px,
        "classes": list(classes),
        "tools": list(tools),
    }


def _frames_to_adapt_to(params: AdabnParams, fold: int | None) -> LabelledFrames:
    splits = SPLITS if params.split == "all" else (params.split,)
    frames = evenly_spaced(read_frames(splits, labels=False, fold=fold), params.frames_per_video)
    if len(frames) < 2:
        raise PipelineError(
            f"params.yaml: backbone.adabn.split: found {params.split}, which has {len(frames)} "
            "frames in data/index/splits.csv; at least two are needed."
        )
    return frames
