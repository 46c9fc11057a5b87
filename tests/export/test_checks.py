"""Each rule of the static checks against a graph that breaks it and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from dmdd_edge.errors import DmddError
from dmdd_edge.export.checks import MAX_TOPK, check_graph
from dmdd_edge.export.graph_view import read_graph
from tests.export import small_graph
from tests.export.spoil import (
    cast,
    insert,
    mixed_product,
    node_of,
    read_in,
    resize,
    set_attribute,
    transpose_first,
)


def test_the_small_graph_passes_in_both_forms(small_fp32: Path, small_fp16: Path) -> None:
    fp32, fp16 = check_graph(small_fp32, "fp32").require(), check_graph(small_fp16, "fp16").require()
    assert (fp32.opset, fp16.opset) == (18, 18)
    assert (fp32.convolutions, fp32.half_convolutions, fp32.half_share) == (5, 0, 0.0)
    assert (fp16.convolutions, fp16.half_convolutions, fp16.half_share) == (5, 5, 1.0)
    assert fp16.free_batch
    assert fp16.ok


def test_types_of_all_tensors_are_known_and_right(small_fp16: Path) -> None:
    view = read_graph(small_fp16)
    assert view.inference_error == ""
    unknown = [name for node in view.nodes for name in node.output if not view.types.get(name)]
    assert unknown == []
    convolution = node_of(view.model, "Conv")
    assert view.types[convolution.output[0]] == TensorProto.FLOAT16
    assert view.types[node_of(view.model, "ReduceL2").output[0]] == TensorProto.FLOAT
    assert view.shapes["image"][1:] == (32, 32, 3)


def old_opset(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 17


def strange_domain(model: onnx.ModelProto) -> None:
    node_of(model, "Relu").domain = "com.example"
    model.opset_import.append(helper.make_opsetid("com.example", 1))


def weights_outside(model: onnx.ModelProto) -> None:
    weight = next(t for t in model.graph.initializer if t.name == "teacher.deep.weight")
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.append(onnx.StringStringEntryProto(key="location", value="weights.bin"))


def stack_trace(model: onnx.ModelProto) -> None:
    node_of(model, "Conv").metadata_props.append(
        onnx.StringStringEntryProto(key="pkg.torch.onnx.stack_trace", value='File "model.py", line 3')
    )


def doc_string(model: onnx.ModelProto) -> None:
    node_of(model, "Conv").doc_string = "where it came from"


def model_metadata(model: onnx.ModelProto) -> None:
    model.metadata_props.append(onnx.StringStringEntryProto(key="made_by", value="/home/someone/train.py"))


def renamed_output(model: onnx.ModelProto) -> None:
    model.graph.output[1].name = "points"
    node_of(model, "ReduceMean").output[0] = "points"


def uint8_inside(model: onnx.ModelProto) -> None:
    sub = node_of(model, "Sub")
    insert(
        model, sub,
        cast("permute", "bytes", TensorProto.UINT8),
        cast("bytes", "floats", TensorProto.FLOAT),
    )  # fmt: skip
    read_in(model, "permute", "floats", sub)


def large_topk(model: onnx.ModelProto) -> None:
    name = node_of(model, "TopK").input[1]
    tensor = next(t for t in model.graph.initializer if t.name == name)
    tensor.CopyFrom(numpy_helper.from_array(np.array([MAX_TOPK + 1], np.int64), name))


def computed_topk(model: onnx.ModelProto) -> None:
    topk = node_of(model, "TopK")
    insert(model, topk, helper.make_node("Abs", [topk.input[1]], ["k_at_run_time"], name="k"))
    topk.input[1] = "k_at_run_time"


EITHER_FORM = [
    (old_opset, "opset 17; at least 18"),
    (strange_domain, "domain com.example"),
    (weights_outside, "1 weights are in another file (external data), such as teacher.deep.weight"),
    (stack_trace, "1 nodes or tensors carry doc strings or metadata, such as node_conv2d"),
    (doc_string, "1 nodes or tensors carry doc strings or metadata, such as node_conv2d"),
    (model_metadata, "names source files: '/home/someone/train.py'"),
    (renamed_output, "outputs are anomaly_map, points; they must be anomaly_map, score"),
    (transpose_first, "Transpose node_permute reads the uint8 input; the first node must be a Cast"),
    (uint8_inside, "bytes is uint8; TensorRT accepts that only as the graph's input"),
    (large_topk, "TopK node_topk__1: K is 3841; TensorRT builds at most 3840"),
    (computed_topk, "K is computed; it must be a constant"),
    (resize("antialias", 1), "Resize node_upsample_bilinear2d: antialias is on"),
    (resize("mode", "area"), "mode area; TensorRT supports cubic, linear, nearest"),
    (resize("coordinate_transformation_mode", "tf_crop_and_resize"), "coordinates tf_crop_and_resize"),
    (resize("keep_aspect_ratio_policy", "not_larger"), "aspect ratio policy not_larger"),
    (resize("exclude_outside", 1), "exclude_outside is on"),
    (mixed_product, "mixes float16, float32; TensorRT requires one type"),
]


@pytest.mark.parametrize(("spoil", "message"), EITHER_FORM)
def test_each_broken_rule_is_named_and_no_other(
    spoil: Callable[[onnx.ModelProto], None], message: str, small_fp16: Path, tmp_path: Path
) -> None:
    model = onnx.load(small_fp16)
    spoil(model)
    onnx.save(model, tmp_path / "spoiled.onnx")
    report = check_graph(tmp_path / "spoiled.onnx", "fp16")
    assert len(report.problems) == 1, report.problems
    assert message in report.problems[0]
    with pytest.raises(DmddError, match=r"spoiled\.onnx fails the static checks of a fp16 graph"):
        report.require()


def half_normalization(model: onnx.ModelProto) -> None:
    """Cast straight to half: the first Cast's target, and the constants that follow."""
    set_attribute(node_of(model, "Cast"), "to", TensorProto.FLOAT16)
    for name in (node_of(model, "Sub").input[1], node_of(model, "Div").input[1]):
        tensor = next(t for t in model.graph.initializer if t.name == name)
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), name))


def half_before_normalization(model: onnx.ModelProto) -> None:
    half_normalization(model)
    first = node_of(model, "Cast")
    set_attribute(first, "to", TensorProto.FLOAT)
    insert(
        model, node_of(model, "Transpose"),
        cast(first.output[0], "early", TensorProto.FLOAT16),
    )  # fmt: skip
    node_of(model, "Transpose").input[0] = "early"


def half_norms(model: onnx.ModelProto) -> None:
    norm = node_of(model, "ReduceL2")
    source, target = norm.input[0], norm.output[0]
    insert(model, norm, cast(source, "low", TensorProto.FLOAT16))
    after = list(model.graph.node)[list(model.graph.node).index(norm) + 1]
    norm.input[0], norm.output[0] = "low", "low_norm"
    insert(model, after, cast("low_norm", target, TensorProto.FLOAT))


def half_sigmoid(model: onnx.ModelProto) -> None:
    sigmoid = node_of(model, "Sigmoid")
    half = model.graph.node[list(model.graph.node).index(sigmoid) - 1]
    assert half.op_type == "Cast"
    # conv (half) -> sigmoid (half) -> cast
    sigmoid.input[0], half.input[0] = half.input[0], "half_sigmoid"
    half.output[0], sigmoid.output[0] = sigmoid.output[0], "half_sigmoid"
    model.graph.node.remove(half)
    model.graph.node.insert(list(model.graph.node).index(sigmoid) + 1, half)


def half_island(model: onnx.ModelProto) -> None:
    node_of(model, "Relu").name = "distance_island/relu"


def half_score(model: onnx.ModelProto) -> None:
    mean = node_of(model, "ReduceMean")
    top = mean.input[0]
    insert(model, mean, cast(top, "half_top", TensorProto.FLOAT16))
    mean.input[0], mean.output[0] = "half_top", "half_score"
    model.graph.node.append(cast("half_score", "score", TensorProto.FLOAT))


def fp32_convolution(model: onnx.ModelProto) -> None:
    head = node_of(model, "Conv", 4)
    for name in head.input[1:]:
        tensor = next(t for t in model.graph.initializer if t.name == name)
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), name))
    insert(
        model, head, helper.make_node("Cast", [head.input[0]], ["wide"], name="wide", to=TensorProto.FLOAT)
    )
    head.input[0] = "wide"


FP16_FORM = [
    (half_normalization, ["casts the image to float16; normalization requires float32"]),
    (half_before_normalization, ["Cast cast_early casts the image to half before it is normalized"]),
    (half_norms, ["ReduceL2 node_linalg_vector_norm runs in float16; it must be float32"]),
    (
        half_sigmoid,
        ["Sigmoid node_sigmoid runs in float16", "anomaly_map is computed in float16", "score is"],
    ),
    (half_island, ["Relu distance_island/relu runs in float16; it must be float32"]),
    (half_score, ["score is computed in float16 (at ReduceMean node_mean)"]),
    (fp32_convolution, ["1 of 5 convolutions are not half, such as Conv node_conv2d_4"]),
]


@pytest.mark.parametrize(("spoil", "messages"), FP16_FORM)
def test_fp32_islands_are_demanded(
    spoil: Callable[[onnx.ModelProto], None], messages: list[str], small_fp16: Path, tmp_path: Path
) -> None:
    model = onnx.load(small_fp16)
    spoil(model)
    del model.graph.value_info[:]  # types noted before the change
    onnx.checker.check_model(model, full_check=True)  # valid ONNX: only our rules object
    onnx.save(model, tmp_path / "spoiled.onnx")
    problems = check_graph(tmp_path / "spoiled.onnx", "fp16").problems
    assert len(problems) == len(messages), problems
    for problem, message in zip(problems, messages, strict=True):
        assert message in problem


def test_an_island_may_keep_a_convolution_in_fp32(small_fp16: Path, tmp_path: Path) -> None:
    model = onnx.load(small_fp16)
    fp32_convolution(model)
    node_of(model, "Conv", 4).name = "head_island/conv"
    onnx.save(model, tmp_path / "island.onnx")
    report = check_graph(tmp_path / "island.onnx", "fp16").require()
    assert (report.convolutions, report.half_convolutions, report.island_convolutions) == (4, 4, 1)
    assert report.half_share == 1.0


def test_a_gate_inside_a_backbone_may_be_half(small_fp16: Path, tmp_path: Path) -> None:
    model = onnx.load(small_fp16)
    relu = node_of(model, "Relu")
    relu.op_type, relu.name = "Sigmoid", "teacher/stage1/gate"
    onnx.save(model, tmp_path / "gate.onnx")
    check_graph(tmp_path / "gate.onnx", "fp16").require()
    relu.name = "head/gate"
    onnx.save(model, tmp_path / "gate.onnx")
    assert "Sigmoid head/gate runs in float16" in check_graph(tmp_path / "gate.onnx", "fp16").problems[0]


def test_the_wrong_form_is_told(small_fp32: Path, small_fp16: Path) -> None:
    assert "5 of 5 convolutions are not half" in check_graph(small_fp32, "fp16").problems[0]
    assert "tensors are not float32" in check_graph(small_fp16, "fp32").problems[0]


def test_a_fused_graph_with_antialiased_resize_from_torch_is_caught(tmp_path: Path) -> None:
    class Shrinks(nn.Module):
        def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            x = (image.float() / 255).permute(0, 3, 1, 2)
            small = nn.functional.interpolate(x, size=(16, 16), mode="bilinear", antialias=True)[:, 0]
            return small, small.flatten(1).topk(9, dim=1).values.mean(1)

    path = small_graph.write_onnx(Shrinks(), tmp_path / "antialias.onnx")
    problems = check_graph(path, "fp32").problems
    assert any("antialias is on" in problem for problem in problems), problems


@pytest.mark.parametrize("content", [b"", b"not a graph at all, only words", None])
def test_files_that_are_no_graph_give_one_message(
    content: bytes | None, tmp_path: Path, small_fp32: Path
) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(small_fp32.read_bytes()[:1000] if content is None else content)
    with pytest.raises(DmddError, match=r"broken\.onnx"):
        check_graph(path, "fp32")
    with pytest.raises(DmddError, match=r"The ONNX file .* does not exist"):
        check_graph(tmp_path / "missing.onnx", "fp32")
