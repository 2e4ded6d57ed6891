"""An ONNX file in fewer bits."""

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.export.images import Images

# Average pooling and the gates of squeeze-and-excitation stay in fp32, as in features.precision.
_IN_INT8 = ["Conv", "Relu", "Add", "MaxPool"]


def to_fp16(source: Path, target: Path) -> None:
    """Write the graph with weights and sums in 16 bits; what goes in and comes out stays."""
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16

    onnx.save(convert_float_to_float16(onnx.load(source), keep_io_types=True), target)


def to_int8(source: Path, target: Path, images: Iterator[Images]) -> None:
    """Write the graph with weights in int8 per channel and activations in uint8 per tensor.

    Scales come from the smallest and largest activations over some images (Jacob et al.,
    Quantization and Training of Neural Networks, CVPR 2018; as in onnxruntime.quantization).

    Args:
        source: The graph in fp32, whose only input is `images`.
        target: The file to write.
        images: (N, 3, H, W) uint8 that stand for all others.
    """
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    before = logging.root.manager.disable
    logging.disable(logging.WARNING)  # it recommends a step that folds what is folded already
    try:
        quantize_static(
            str(source),
            str(target),
            _reader(images),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=_IN_INT8,
            per_channel=True,
            # Without it, products of processors before VNNI overflow.
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
    finally:
        logging.disable(before)


def _reader(images: Iterator[Images]) -> Any:
    """The images as onnxruntime.quantization takes them."""
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        """Batch after batch, then None."""

        def get_next(self) -> Mapping[str, NDArray[np.uint8]] | None:
            """See CalibrationDataReader."""
            batch = next(images, None)
            return None if batch is None else {"images": batch}

    return Reader()
