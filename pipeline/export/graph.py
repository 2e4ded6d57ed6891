"""A network with the names and shapes of what goes in and comes out, and files made from it."""

import json
import logging
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pipeline.errors import PipelineError
from pipeline.export.runtime import INSTALL

OPSET = 18


@dataclass(frozen=True)
class Graph:
    """What is to be exported.

    Attributes:
        what: Names it in messages.
        network: In evaluation mode, on the CPU.
        example: Its inputs.
        dynamic: Which axes of each input may have any length, as torch.export takes them.
        inputs: Names, those of tuples one after the other.
        outputs: Likewise.
        strict: Read the Python code at once, and not only where a trace fails: a trace takes
            len(tensor) for a constant.
    """

    what: str
    network: nn.Module
    example: tuple[Any, ...]
    dynamic: tuple[Any, ...]
    inputs: Sequence[str]
    outputs: Sequence[str]
    strict: bool


@torch.no_grad()
def program_of(graph: Graph) -> torch.export.ExportedProgram:
    """The program of torch.export.

    Raises:
        PipelineError: The network holds something that cannot be exported; names it.
    """
    reason = ""
    # Reading the code takes longer and understands less, but knows len(tensor): False comes first.
    for strict in sorted({graph.strict, True}):
        try:
            with _quiet():
                return torch.export.export(
                    graph.network, graph.example, dynamic_shapes=graph.dynamic, strict=strict
                )
        # torch promises no type: whatever the network's code meets while it is traced.
        except Exception as error:
            reason = _reason(error)
    raise PipelineError(f"{graph.what} cannot be exported: {reason}.")


def write_torch(
    path: Path, program: torch.export.ExportedProgram, about: Mapping[str, Any]
) -> None:
    """Write a .pt2 file, with its metadata as JSON in the extra file `pipeline`."""
    with _quiet():
        torch.export.save(program, path, extra_files={"pipeline": json.dumps(about)})


def write_onnx(
    path: Path, graph: Graph, program: torch.export.ExportedProgram, about: Mapping[str, Any]
) -> None:
    """Write an ONNX file; each entry of its metadata is JSON.

    Raises:
        PipelineError: The libraries are missing, or an operator has no form in ONNX; names it.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401  torch needs it
    except ModuleNotFoundError:
        raise PipelineError(f"export --to onnx needs onnx and onnxscript. Run: {INSTALL}") from None
    try:
        with _quiet():
            made = torch.onnx.export(
                program,
                input_names=graph.inputs,
                output_names=graph.outputs,
                opset_version=OPSET,
                verbose=False,
            )
    except Exception as error:
        raise PipelineError(f"{graph.what} cannot be exported: {_reason(error)}.") from None
    assert made is not None
    model = made.model_proto
    onnx.helper.set_model_props(model, {k: json.dumps(v) for k, v in sorted(about.items())})
    onnx.save(model, path)


def _reason(error: BaseException) -> str:
    """The operator at fault where the messages name one; else what torch says first."""
    texts = []
    found: BaseException | None = error
    while found is not None:
        texts.append(str(found))
        found = found.__cause__
    if any("Constraints violated" in text for text in texts):
        return "some of its operators need a length that is known beforehand"
    for text in reversed(texts):
        if operator := re.search(r"\baten[.:]+[a-z_]\w*(?:\.\w+)?", text):
            return f"the operator {operator.group()} has no form of any length"
    return texts[-1].strip().splitlines()[0].rstrip(".")[:200] if texts[-1].strip() else repr(error)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what torch logs and warns of on its way: what matters is raised, or measured."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
