"""JPEG decoded and resized by the GPU, so that a few processor cores suffice to feed it."""

import warnings
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torchvision.io import ImageReadMode, decode_jpeg

from pipeline import frame_store
from pipeline.errors import PipelineError
from pipeline.features.copying import awaited, side_stream
from pipeline.frame_store import FrameFile
from pipeline.networks.backbones.transform import Transform


def decoded_on_device(
    frames: FrameFile,
    samples: NDArray[np.int64],
    transform: Transform,
    batch: int,
    device: torch.device,
) -> Iterator[torch.Tensor]:
    """Prepared batches (batch, 3, crop_px, crop_px) uint8 on the device, channels last.

    One batch is decoded while the caller's stream works on the one before. The last one is filled
    up with copies of its first image. On a CPU torchvision decodes one image after the other: the
    same path, but slow.

    Args:
        frames: The frames of one video.
        samples: Which of them.
        transform: Resize and crop, done on the device as well.
        batch: Images per batch.
        device: A GPU, in the memory of which the batches are.

    Raises:
        PipelineError: A frame cannot be decoded.
    """
    side = side_stream(device)
    for start in range(0, len(samples), batch):
        chosen = samples[start : start + batch]
        encoded = [torch.from_numpy(frames.jpeg(sample)) for sample in chosen]
        rows = [*range(len(chosen)), *([0] * (batch - len(chosen)))]
        with torch.cuda.stream(side):
            # nvJPEG's engine writes into memory that kernels queued on this stream still read
            # (pytorch/vision pull request 9606): here the last batch's resize.
            if side is not None:
                side.synchronize()
            images = torch.stack(_decoded(encoded, frames, chosen, device))
            prepared = transform.prepare(images)[rows]
            prepared = prepared.contiguous(memory_format=torch.channels_last)
        yield prepared if side is None else awaited(prepared, side.record_event())


def _decoded(
    encoded: list[torch.Tensor],
    frames: FrameFile,
    samples: NDArray[np.int64],
    device: torch.device,
) -> list[torch.Tensor]:
    try:
        with warnings.catch_warnings():
            # torchvision will leave images to TorchCodec, which needs FFmpeg on the machine.
            warnings.filterwarnings("ignore", ".*TorchCodec")
            images: list[torch.Tensor] = decode_jpeg(encoded, ImageReadMode.RGB, device)
            return images
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        raise _undecoded(frames, samples, error) from None


def _undecoded(frames: FrameFile, samples: NDArray[np.int64], error: RuntimeError) -> PipelineError:
    """What to say: whether a frame is damaged, or nvJPEG is what does not work."""
    for sample in samples:
        try:
            frame_store.decode_jpeg(frames.jpeg(sample))
        except PipelineError as damaged:
            return PipelineError(f"{frames.path}: {damaged}")
    cause = str(error).strip().splitlines() or ["no reason given"]
    return PipelineError(
        f"{frames.path}: the GPU's JPEG decoder failed ({cause[0][:120]}), the processor's reads "
        "these frames. Set features.decoder: opencv."
    )
