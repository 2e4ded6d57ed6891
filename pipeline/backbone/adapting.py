"""Adapted weights: found in the store, or estimated and kept there."""

from dataclasses import dataclass
from pathlib import Path

import torch

from pipeline.allocator import keep_freed_memory
from pipeline.backbone import adabn
from pipeline.backbone.adabn import adapt, mixed_batches
from pipeline.backbone.labelled_frames import LabelledFrames
from pipeline.backbone.stored import LIBRARIES, stored
from pipeline.checkpoint import load_checkpoint, save_checkpoint, tensors_hash
from pipeline.code_identity import code_hash, library_versions
from pipeline.determinism import use_deterministic_kernels
from pipeline.networks.backbones import build_backbone, libraries_of, modules_of
from pipeline.networks.backbones.transform import Transform
from pipeline.networks.backbones.transform_record import code_of, recorded
from pipeline.progress import Progress
from pipeline.result_store import fingerprint
from pipeline.runtime import RuntimeParams, gpus
from pipeline.training.state import Tensors


@dataclass(frozen=True)
class Adaptation:
    """What decides adapted weights.

    Attributes:
        name: Of the backbone.
        tensors: Its weights.
        transform: What the network sees of a frame.
        frames: Whose images give the statistics.
        batch: Frames per forward pass.
    """

    name: str
    tensors: Tensors
    transform: Transform
    frames: LabelledFrames
    batch: int

    def identity(self) -> str:
        """The fingerprint; neither order nor names of the videos are part of it."""
        return fingerprint(
            made="adapted",
            backbone=self.name,
            weights=tensors_hash(self.tensors),
            transform=recorded(self.transform),
            batch=self.batch,
            frames=sorted(self.frames.identity()),
            libraries=library_versions(*LIBRARIES, *libraries_of(self.name)),
            code=code_hash(adabn, *modules_of(self.name), code_of(self.transform)),
        )


def adapted(adaptation: Adaptation, runtime: RuntimeParams) -> Tensors:
    """The weights with the batch-norm statistics of the frames.

    Args:
        adaptation: Weights and frames.
        runtime: Device, workers, progress; no part of what decides the result.

    Raises:
        PipelineError: A frame is damaged.
    """

    def make(path: Path) -> None:
        keep_freed_memory()
        use_deterministic_kernels()
        torch.set_num_threads(runtime.thread_count)
        network = build_backbone(adaptation.name).network
        network.load_state_dict(adaptation.tensors)
        batches = len(mixed_batches(adaptation.frames, adaptation.batch))
        with Progress("adabn", batches, runtime.progress) as progress:
            adapt(
                network,
                adaptation.frames,
                adaptation.transform,
                adaptation.batch,
                torch.device("cuda" if gpus(runtime) else "cpu"),
                runtime.worker_count,
                progress,
            )
        save_checkpoint(path, network.state_dict(), {})

    return load_checkpoint(stored(adaptation.identity(), make))[0]
