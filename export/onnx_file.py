"""Writes the deployment graph as an ONNX file with readable names and without traces of the machine."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

import onnx
import torch
from torch import nn
from torch.export import Dim

from dmdd_edge._version import __version__
from dmdd_edge.export.simplify import simplify

OPSET = 18
INPUT, MAP, SCORE = "image", "anomaly_map", "score"


def write_onnx(graph: nn.Module, path: Path, image_size: int) -> onnx.ModelProto:
    """Export a graph, simplify it, and write it.

    Args:
        graph: maps uint8 N x S x S x 3 to (map N x S x S, score N).
        path: file to write.
        image_size: S.

    Returns:
        the model as written: opset 18, weights inside, batch dynamic.
    """
    example = torch.zeros((2, image_size, image_size, 3), dtype=torch.uint8)
    with _quiet():
        program = torch.onnx.export(
            graph,
            (example,),
            dynamo=True,
            opset_version=OPSET,
            external_data=False,
            input_names=[INPUT],
            output_names=[MAP, SCORE],
            dynamic_shapes=({0: Dim("batch")},),
            verbose=False,
        )
    assert program is not None
    model = simplify(program.model_proto)
    model.producer_name, model.producer_version = "dmdd-edge", __version__
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString(deterministic=True))
    return model


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress the exporter's output, which does not help a user."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
