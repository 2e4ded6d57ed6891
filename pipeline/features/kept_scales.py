"""The scales of int8 as the store keeps them, so that they outlive the features that they made."""

import json
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import torch
from torch import nn

from pipeline.atomic import write_text
from pipeline.features.build import Plan, build_writer
from pipeline.features.quantise import engine
from pipeline.features.scales import scales_of
from pipeline.result_store import Store, fingerprint


def kept_scales(plan: Plan, parts: Mapping[str, Any]) -> dict[str, Any]:
    """The scales of one network, from the store, or taken now from frames of training videos.

    Args:
        plan: How features are made, with the containers that the scales come from.
        parts: What decides them, from parts_of_all.

    Returns:
        `scales`, as scales_of gives them, and `engine`, the kernels that they were chosen for.

    Raises:
        PipelineError: As build_writer.
    """
    store, name = Store("int8", "json"), fingerprint(**parts)
    if not store.has(name):
        with ThreadPoolExecutor(plan.runtime.worker_count) as pool:
            writer = build_writer(plan, torch.device("cpu"), pool, _say)
        network = cast(nn.Module, writer.encoder.network)
        found = {"engine": engine(), "scales": scales_of(network)}
        write_text(store.path(name), json.dumps(found, sort_keys=True))
    kept: dict[str, Any] = json.loads(store.used(name).read_text(encoding="utf-8"))
    return kept


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
