"""All kinds of temporal networks on the demo's features: how well each predicts, and how fast.

    dvc repro && python benchmarks/temporal_kinds.py FOLDER [--kind ssm] [--epochs 30]

Trains every kind, and its causal variant where it has one, by the train stage with the section
`train` of params.yaml, and prints the table of docs/models.md. Each result is kept in FOLDER as
`<name>.json`: what is there is not run again, so that the table can be made in pieces. A kind that
does not beat the majority vote, or that sees time and does not beat `linear` and `mlp`, is named
below the table.

Scores are those of reports/metrics.json. Training is the processor's time on one thread; forward is
a whole video of 2,000 frames, over that time. row_bilstm is for images and left out.
"""

import argparse
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from temporal import CLASSES, DIM, processor_ms

from pipeline.evaluate.predict import load_model, predict
from pipeline.metrics.summary import summarise
from pipeline.networks.temporal import KINDS
from pipeline.paths import TEMPORAL
from pipeline.scored_video import ScoredVideo
from pipeline.sequences import read_split
from pipeline.tables import read_phases
from pipeline.train import stage

_ROOT = Path(__file__).parents[1]
_MAJORITY = "majority vote"
# They see one frame at a time: what they reach is what the features tell without time.
_SINGLE_FRAMES = ("linear", "mlp")
_FRAMES = 2000


def variants() -> Iterator[tuple[str, str, bool | None]]:
    """Name, model.kind and model.causal of each row."""
    for kind, module in KINDS.items():
        if kind == "row_bilstm":
            continue
        yield kind, kind, None
        if "causal" in module.Params.model_fields:
            yield f"{kind}, causal", kind, True


def prepare(folder: Path, project: Path) -> None:
    """A project in the folder that reads the demo's tables and features and writes its own rest."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("data", "features"):
        if not (folder / name).exists():
            (folder / name).symlink_to((project / name).resolve())
    os.chdir(folder)
    os.environ["DVC_ROOT"] = str(folder)


def scores(predicted: Mapping[str, list[ScoredVideo]], fps: float) -> dict[str, float]:
    """The four figures of a row, from the videos of val and test."""
    found = {
        split: summarise(
            {str(i): video for i, video in enumerate(videos)}, read_phases(), fps, 10, 0
        )
        for split, videos in predicted.items()
    }
    test = found["test"]
    return {
        "accuracy": test["frame"]["accuracy"]["mean"],
        "macro_f1": test["frame"]["f1"]["per_phase_mean"],
        "edit": test["segment"]["edit"]["mean"],
        "val_macro_f1": found["val"]["frame"]["f1"]["per_phase_mean"],
    }


def of_majority() -> dict[str, Any]:
    """Every frame gets the most frequent phase of the training videos."""
    labels = np.concatenate([video.labels for video in read_split("train")])
    most = np.bincount(labels[labels >= 0]).argmax()
    videos = {split: read_split(split) for split in ("val", "test")}
    predicted = {
        split: [ScoredVideo(v.labels, np.full_like(v.labels, most)) for v in found]
        for split, found in videos.items()
    }
    return scores(predicted, videos["test"][0].fps)


def of_kind(kind: str, causal: bool | None, epochs: int | None) -> dict[str, Any]:
    """Train it, predict the validation and test videos, and measure the untrained network."""
    params = yaml.safe_load((_ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["model"] |= {"kind": kind, "causal": causal}
    params["train"]["epochs"] = epochs or params["train"]["epochs"]
    params["runtime"] |= {"device": "cpu", "threads": 1, "progress": "none"}
    Path("params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    # A model that is found there, or half of its training, would take no time.
    shutil.rmtree(".store", ignore_errors=True)
    started = time.process_time()
    stage.run()
    training_s = time.process_time() - started
    device = torch.device("cpu")
    network, header = load_model(TEMPORAL, device)
    predicted = {
        split: [predict(network, header, video, device) for video in read_split(split)]
        for split in ("val", "test")
    }
    measured = scores(predicted, header["fps"])
    return {**measured, "training_s": training_s, "frames_per_s": forward_speed(kind, causal)}


@torch.inference_mode()
def forward_speed(kind: str, causal: bool | None) -> float:
    params = KINDS[kind].Params() if causal is None else KINDS[kind].Params(causal=causal)
    network = KINDS[kind].build(DIM, CLASSES, params).eval()
    video = torch.randn(1, _FRAMES, DIM)
    mask = torch.ones(1, _FRAMES, dtype=torch.bool)
    return _FRAMES / processor_ms(lambda: network(video, mask), 3) * 1000


def result(name: str, kind: str, causal: bool | None, epochs: int | None) -> dict[str, Any]:
    """From its file, or measured and kept there."""
    path = Path(f"{name}.json")
    if not path.is_file():
        found = of_majority() if name == _MAJORITY else of_kind(kind, causal, epochs)
        path.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return dict(json.loads(path.read_text(encoding="utf-8")))


def row(name: str, found: Mapping[str, float]) -> str:
    kind, *rest = name.split(",")
    shown = ",".join([kind if name == _MAJORITY else f"`{kind}`", *rest])
    figures = " | ".join(f"{found[key]:.3f}" for key in ("accuracy", "macro_f1", "edit"))
    cost = "- | -"
    if "training_s" in found:
        speed = round(found["frames_per_s"], -2)
        cost = f"{found['training_s']:.0f} | {speed:,.0f}"
    return f"| {shown} | {figures} | {found['val_macro_f1']:.3f} | {cost} |"


def unexpected(results: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    """What is no better than it must be, by the accuracy on the test videos."""
    for name, found in results.items():
        floors = [] if name == _MAJORITY else [_MAJORITY]
        if name not in (_MAJORITY, *_SINGLE_FRAMES):
            floors += _SINGLE_FRAMES
        for floor in floors:
            if floor in results and found["accuracy"] <= results[floor]["accuracy"]:
                yield f"{name} does not beat {floor}."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--project", type=Path, default=Path(), help="where the demo has run")
    parser.add_argument("--kind", choices=KINDS, help="this one alone; else all")
    parser.add_argument("--epochs", type=int, help="at most; else those of params.yaml")
    options = parser.parse_args()
    torch.set_num_threads(1)
    prepare(options.folder.resolve(), options.project.resolve())
    print("| kind | accuracy | macro F1 | edit | macro F1, val | training, s | forward, frames/s |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    results = {}
    for name, kind, causal in [(_MAJORITY, "", None), *variants()]:
        if options.kind in (None, kind) or name == _MAJORITY:
            results[name] = result(name, kind, causal, options.epochs)
            print(row(name, results[name]), flush=True)
    print()
    print("\n".join(unexpected(results)) or "All beat the majority vote, and single frames.")


if __name__ == "__main__":
    main()
