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
