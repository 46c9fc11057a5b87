"""The smallest graph that shows whether a provider of ONNX Runtime convolves: ``y = 2 x`` for one pixel.

A convolution, since on CUDA that needs cuDNN, which a sum does without.

Put together by hand, since the package onnx is not to be had on the line. The numbers of the fields are those
of onnx.proto; a field is its number and wire type in one byte, then a number, or a length and so many bytes.
"""

from __future__ import annotations

import struct


def _text(field: int, content: bytes) -> bytes:
    """A field of protobuf that holds bytes: its number with the wire type 2, the length, the content."""
    assert field < 16, field
    assert len(content) < 128, len(content)  # both fit a byte then
    return bytes([field << 3 | 2, len(content)]) + content


def _number(field: int, value: int) -> bytes:
    """A field of protobuf that holds a small number: wire type 0."""
    return bytes([field << 3, value])


#: 1 x 1 x 1 x 1, as the numbers of a tensor's dims and as a type's shape.
_DIMS = _number(1, 1) * 4
_SHAPE = _text(1, _number(1, 1)) * 4
# TypeProto.tensor_type = 1 {elem_type = 1: FLOAT (1), shape = 2}.
_PIXEL = _text(1, _number(1, 1) + _text(2, _SHAPE))
#: A ModelProto.
DOUBLING_GRAPH = (
    _number(1, 8)  # ir_version 8
    + _text(
        7,  # graph
        _text(  # node = 1: inputs (1), output (2), op_type (4)
            1, _text(1, b"x") + _text(1, b"w") + _text(2, b"y") + _text(4, b"Conv")
        )
        + _text(2, b"doubling")  # name
        # initializer = 5: dims (1), data_type (2) FLOAT, name (8), raw_data (9)
        + _text(5, _DIMS + _number(2, 1) + _text(8, b"w") + _text(9, struct.pack("<f", 2.0)))
        + _text(11, _text(1, b"x") + _text(2, _PIXEL))  # input: name, type
        + _text(12, _text(1, b"y") + _text(2, _PIXEL)),  # output: name, type
    )
    + _text(8, _number(2, 13))  # opset_import: version 13 of the standard operators
)
