"""INT8 graphs by nncf, for a comparison: ``python nncf_graph.py KEPT``; needs nncf, onnx and onnxruntime.

KEPT is a run's folder of ``python benchmarks/int8 RUN --keep FOLDER``: its ``fp32.onnx`` and the images that
ranges come from. Written beside them are

- ``nncf plain.onnx``: as nncf's documentation does, every operator, ranges of good images alone;
- ``nncf at our places.onnx``: the convolutions that are INT8 in ``int8 ours.onnx``, ranges with made damage.

It needs a separate environment: dmdd-edge does not depend on nncf.
"""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path
from typing import Any

import numpy as np
import onnx


def main() -> None:
    """Write both graphs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kept", type=Path, help="folder of one run's graphs")
    folder = parser.parse_args().kept
    model = onnx.load(folder / "fp32.onnx")
    images = np.load(folder / "images.npz")
    ours = _int8_convolutions(onnx.load(folder / "int8 ours.onnx"))
    others = [node.name for node in model.graph.node if node.name not in ours]
    onnx.save(_quantized(model, images["good"], []), folder / "nncf plain.onnx")
    onnx.save(_quantized(model, images["ranges"], others), folder / "nncf at our places.onnx")


def _int8_convolutions(model: onnx.ModelProto) -> set[str]:
    rounded = {
        name for node in model.graph.node if node.op_type == "DequantizeLinear" for name in node.output
    }
    return {
        node.name
        for node in model.graph.node
        if node.op_type == "Conv" and rounded.issuperset(node.input[:2])
    }


def _quantized(model: onnx.ModelProto, images: Any, ignored: list[str]) -> onnx.ModelProto:
    nncf: Any = importlib.import_module("nncf")
    result: onnx.ModelProto = nncf.quantize(
        onnx.ModelProto.FromString(model.SerializeToString()),
        nncf.Dataset(list(images), lambda image: {"image": image[None]}),
        preset=nncf.QuantizationPreset.PERFORMANCE,
        subset_size=len(images),
        ignored_scope=nncf.IgnoredScope(names=ignored) if ignored else None,
    )
    return result


if __name__ == "__main__":
    main()
