"""The written files themselves: ONNX Runtime against torch, and what an inference engine reads in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray

from dmdd_edge import __version__
from dmdd_edge.export.checks import check_graph
from tests.export.detectors import random_images

FILES = ["model.fp32.onnx", "model.fp16.onnx"]


def run(file: Path, images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What ONNX Runtime says, without any of our code."""
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    maps, scores = session.run(["anomaly_map", "score"], {"image": images})
    return maps, scores


@torch.no_grad()
@pytest.mark.parametrize("count", [1, 3, 8])
@pytest.mark.parametrize(("name", "tolerance"), [("model.fp32.onnx", 1e-4), ("model.fp16.onnx", 0.02)])
def test_onnx_runtime_gives_torchs_result(
    name: str, tolerance: float, count: int, tiny_export: Any, tiny_outcome: Any
) -> None:
    images = random_images(count, seed=count)
    maps, scores = run(tiny_export.bundle.file(name), images)
    expected = tiny_outcome.run.model.eval()(torch.from_numpy(images).permute(0, 3, 1, 2))
    assert maps.dtype == scores.dtype == np.float32
    assert maps.shape == (count, 64, 64)
    assert scores.shape == (count,)
    np.testing.assert_allclose(maps, expected.maps.numpy(), atol=tolerance)
    np.testing.assert_allclose(scores, expected.scores.numpy(), atol=tolerance)


@pytest.mark.parametrize("name", FILES)
def test_the_files_form(name: str, tiny_export: Any) -> None:
    model = onnx.load(tiny_export.bundle.file(name))
    assert {entry.domain: entry.version for entry in model.opset_import} == {"": 18}
    assert (model.producer_name, model.producer_version) == ("dmdd-edge", __version__)
    graph = model.graph
    [image] = graph.input
    reader = next(node for node in graph.node if "image" in node.input)
    assert reader is graph.node[0] or not any(
        node.input for node in graph.node[: list(graph.node).index(reader)]
    )
    assert [node.op_type for node in graph.node if "image" in node.input] == ["Cast"]
    sizes = [dim.dim_param or dim.dim_value for dim in image.type.tensor_type.shape.dim]
    assert isinstance(sizes[0], str)
    assert sizes[1:] == [64, 64, 3]
    assert [value.name for value in graph.output] == ["anomaly_map", "score"]
    assert not any(t.data_location == onnx.TensorProto.EXTERNAL for t in graph.initializer)


@pytest.mark.parametrize("name", FILES)
def test_no_trace_of_the_machine_that_wrote_it(name: str, tiny_export: Any) -> None:
    path = tiny_export.bundle.file(name)
    model = onnx.load(path)
    parts = [model.graph, *model.graph.node, *model.graph.value_info, *model.graph.initializer]
    assert not any(part.metadata_props or part.doc_string for part in parts)
    content = path.read_bytes()
    for trace in (b".py", b"site-packages", str(Path.home()).encode() + b"/", str(Path.cwd()).encode()):
        assert trace not in content, trace


@pytest.mark.parametrize(("name", "precision"), [("model.fp32.onnx", "fp32"), ("model.fp16.onnx", "fp16")])
def test_the_static_checks_pass(name: str, precision: Any, tiny_export: Any) -> None:
    report = check_graph(tiny_export.bundle.file(name), precision)
    assert report.problems == ()
    assert report.free_batch
    assert report.convolutions > 20


def test_half_precision_halves_the_file(tiny_export: Any) -> None:
    """Almost every weight is in the networks; the head's float32 island is small."""
    kinds = {}
    for name in FILES:
        model = onnx.load(tiny_export.bundle.file(name))
        sizes: dict[int, int] = {}
        for tensor in model.graph.initializer:
            sizes[tensor.data_type] = sizes.get(tensor.data_type, 0) + int(np.prod(tensor.dims))
        kinds[name] = sizes
    half, single = onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT
    assert half not in kinds["model.fp32.onnx"]
    fp16 = kinds["model.fp16.onnx"]
    assert fp16[half] > 0.95 * kinds["model.fp32.onnx"][single] - fp16.get(single, 0)
    assert fp16[half] > 5 * fp16.get(single, 0)


def test_no_batchnorm_and_no_training_only_node_is_left(tiny_export: Any) -> None:
    operators = {node.op_type for node in onnx.load(tiny_export.bundle.file(FILES[0])).graph.node}
    assert not operators & {"BatchNormalization", "Dropout", "Identity", "If", "Loop"}
    assert "Conv" in operators


def test_names_are_readable_and_unique(tiny_export: Any) -> None:
    names = [node.name for node in onnx.load(tiny_export.bundle.file(FILES[0])).graph.node]
    assert len(set(names)) == len(names)
    for part in ("teacher", "student", "island_head"):
        assert any(part in name for name in names), part


def test_every_addition_of_the_pmn_is_between_tensors_of_known_equal_size(tiny_export: Any) -> None:
    """Only then does ONNX Runtime fuse it with a convolution; a Resize must not lose the batch's name."""
    model = onnx.load(tiny_export.bundle.file(FILES[0]))
    graph = onnx.shape_inference.infer_shapes(model).graph
    sizes = {
        value.name: [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in graph.value_info
    }
    batch = model.graph.input[0].type.tensor_type.shape.dim[0].dim_param
    additions = [node for node in graph.node if "pmn" in node.name and node.op_type == "Add"]
    assert len(additions) > 8
    for node in additions:
        assert sizes[node.input[0]] == sizes[node.input[1]] == sizes[node.output[0]]
        assert sizes[node.output[0]][0] == batch
