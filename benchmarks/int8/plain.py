"""Plain post-training quantization: every convolution, ranges of good images alone, no limits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


class _Images:
    def __init__(self, images: NDArray[np.uint8]) -> None:
        self._images: Iterator[NDArray[np.uint8]] = iter(images)

    def get_next(self) -> dict[str, Any] | None:
        """The next image as the graph's input; None after the last."""
        image = next(self._images, None)
        return None if image is None else {"image": image[None]}


def write_plain(fp32: Path, path: Path, images: NDArray[np.uint8]) -> None:
    """Quantize a bundle's fp32 graph as the library's documentation does for TensorRT.

    Args:
        fp32: the graph.
        path: file to write.
        images: uint8 N x S x S x 3, good ones.
    """
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    quantize_static(
        str(fp32),
        str(path),
        _Images(images),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QInt8,
        weight_type=QuantType.QInt8,
        op_types_to_quantize=["Conv"],
        extra_options={"ActivationSymmetric": True, "WeightSymmetric": True, "QuantizeBias": False},
    )
