"""Where the project's files lie, from its root, the folder that holds dvc.yaml."""

from pathlib import Path

PARAMS = Path("params.yaml")

INDEX = Path("data/index")
FRAMES = Path("data/frames")
FEATURES = Path("features/videos")

BACKBONE = Path("models/backbone.safetensors")
TEMPORAL = Path("models/temporal.safetensors")

REPORTS = Path("reports")
BACKBONE_REPORT = REPORTS / "backbone"
BACKBONE_RECURRENT = BACKBONE_REPORT / "recurrent.safetensors"
TRAIN_REPORT = REPORTS / "train"
METRICS = REPORTS / "metrics.json"
DETAILS = REPORTS / "details.json"
PREDICTIONS = REPORTS / "predictions"
PLOTS = REPORTS / "plots"
PAGE = REPORTS / "index.html"
EFFICIENCY = REPORTS / "efficiency.json"
PROBE = REPORTS / "probe.json"
PAPER = REPORTS / "paper"
VIEWS = REPORTS / "view"


def fold_folder(folder: Path, fold: int | None) -> Path:
    """Where a stage writes what belongs to one fold alone; None: what belongs to all."""
    return folder if fold is None else folder / f"fold_{fold}"


def features_of(fold: int | None) -> Path:
    """The features of a fold: its own where each fold has a backbone of its own, else the shared.

    Args:
        fold: From 1; None where there is a single split.
    """
    own = fold_folder(FEATURES, fold)
    return own if own.is_dir() else FEATURES


def recurrent_of(fold: int | None) -> Path:
    """The RNN that was trained together with the backbone of a fold, or with the only one."""
    return fold_folder(BACKBONE_REPORT, fold) / BACKBONE_RECURRENT.name
