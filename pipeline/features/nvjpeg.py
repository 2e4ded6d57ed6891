"""JPEG decoded and resized by the GPU, so that a few processor cores suffice to feed it."""

import warnings
from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from torchvision.io import ImageReadMode, decode_jpeg

from pipeline.errors import PipelineError
from pipeline.features import jpeg
from pipeline.features.copying import Batch, awaited, copy_stream
from pipeline.networks.backbones.transform import Transform


def decoded_on_device(
    jpegs: Iterable[NDArray[np.uint8]], transform: Transform, batch: int, device: torch.device
) -> Iterator[Batch]:
    """Prepared batches (batch, 3, crop_px, crop_px) uint8 on the device, channels last.

    One batch is decoded while the caller's stream works on the one before. The last one is filled
    up with copies of its first image. On a CPU torchvision decodes one image after the other: the
    same path, but slow.

    Args:
        jpegs: JPEG files, (bytes,) each.
        transform: Resize and crop, done on the device as well.
        batch: Images per batch.
        device: A GPU, whose memory the batches are in.

    Raises:
        PipelineError: A file cannot be decoded.
    """
    stream = copy_stream(device)
    remaining = iter(jpegs)
    while chosen := list(islice(remaining, batch)):
        rows = [*range(len(chosen)), *([0] * (batch - len(chosen)))]
        with torch.cuda.stream(stream):
            # nvJPEG's engine writes into memory that kernels queued on this stream still read
            # (pytorch/vision pull request 9606): here the last batch's resize.
            if stream is not None:
                stream.synchronize()
            prepared = transform.prepare(torch.stack(_decoded(chosen, device)))[rows]
            prepared = prepared.contiguous(memory_format=torch.channels_last)
        ready = Batch(prepared, len(chosen))
        yield ready if stream is None else awaited(ready, stream.record_event())


def _decoded(jpegs: list[NDArray[np.uint8]], device: torch.device) -> list[torch.Tensor]:
    try:
        with warnings.catch_warnings():
            # torchvision will leave images to TorchCodec, which needs FFmpeg on the machine.
            warnings.filterwarnings("ignore", ".*TorchCodec")
            encoded = [torch.from_numpy(file) for file in jpegs]
            images: list[torch.Tensor] = decode_jpeg(encoded, ImageReadMode.RGB, device)
            return images
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        for file in jpegs:
            jpeg.decoded(file)  # says so where a frame is damaged
        cause = str(error).strip().splitlines() or ["no reason given"]
        raise PipelineError(
            f"the GPU's JPEG decoder failed ({cause[0][:120]}), the processor's reads these "
            "frames. Set features.decoder: opencv."
        ) from None
