"""Whether fine-tuning is worth it, on rendered operations."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

from pipeline.backbone import stage
from pipeline.demo import render
from pipeline.frames import stage as frames_stage
from pipeline.index import stage as index_stage

PARAMS = {
    "seed": 1,
    "data": {"root": "ours", "layout": "csv"},
    "split": {
        "scheme": "lists",
        "train": [f"operation0{n}" for n in (1, 2, 3, 4)],
        "val": ["operation05"],
        "test": ["operation06"],
    },
    "frames": {"fps": 2, "short_side": 48},
    "runtime": {"progress": "none", "device": "cpu"},
}
FINETUNE = {"lr": 1e-3, "backbone_lr": 1.0, "epochs": 4, "batch": 16, "early_stop": 0}


@pytest.mark.slow
def test_a_finetuned_network_knows_more_of_the_demo_than_a_frozen_random_one(
    workplace, monkeypatch
):
    """Validation accuracy of a linear head on the frozen network and on the trained one."""
    # Most of the time would go into pictures that are never looked at. Threads see the other rate.
    monkeypatch.setattr(render, "FPS", 4)
    monkeypatch.setattr(
        render, "ProcessPoolExecutor", lambda workers, mp_context: ThreadPoolExecutor(1)
    )
    render.render_demo(Path("ours"), operations=6, seconds=(14, 18))
    accuracy = {}
    for strategy in ("head", "whole"):
        backbone = {"name": "resnet18", "mode": "finetune", "crop": 32}
        backbone["finetune"] = FINETUNE | {"strategy": strategy}
        Path("params.yaml").write_text(yaml.safe_dump(PARAMS | {"backbone": backbone}))
        if not Path("data/frames").exists():
            index_stage.run()
            frames_stage.run()
        stage.run()
        metrics = json.loads(Path("reports/backbone/metrics.json").read_text())
        accuracy[strategy] = metrics["frame"]["accuracy"]
    assert accuracy["whole"] > accuracy["head"] + 0.1
