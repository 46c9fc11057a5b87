"""A tiny detector in INT8: the written file against the simulation, and the form of its pairs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from dmdd_edge import BackendError
from dmdd_edge.export.checks import check_graph
from dmdd_edge.export.engines.build import BuildOptions
from dmdd_edge.export.engines.rtx_target import build_rtx
from dmdd_edge.export.graph import DeploymentGraph
from dmdd_edge.export.graph_view import read_graph
from dmdd_edge.export.int8.pairs import PAIR
from dmdd_edge.export.int8.places import convolution, interior
from dmdd_edge.export.int8.quantize import write_int8
from dmdd_edge.export.int8.ranges import Input, inputs_of
from dmdd_edge.export.int8.sensitivity import errors, worst_first
from dmdd_edge.export.int8.simulate import Simulation
from dmdd_edge.export.int8.weights import channel_scales, times_channels
from dmdd_edge.export.parity import onnx_predictor
from dmdd_edge.runtime.engines.engine import BatchProfile, read_sidecar
from tests.export.detectors import detector, random_images


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Any:
    model = detector()
    graph = DeploymentGraph(model)
    places = interior(graph)
    found = inputs_of(graph, places, random_images(4))
    # Some of either kind, and coarser than needed, so that half precision's rounding is small beside it.
    inputs = {
        place.name: found[place.name].plain if index % 3 == 0 else found[place.name].leveled()
        for index, place in enumerate(places)
    }
    inputs = {name: replace(how, step=8 * how.step) for name, how in inputs.items()}
    path = tmp_path_factory.mktemp("int8") / "model.int8.onnx"
    chosen = places[:-1]
    write_int8(DeploymentGraph(model), path, 64, chosen, inputs)
    return model, places, inputs, path, chosen


def test_the_last_convolution_of_each_stage_and_all_after_it_stay_out(made: Any) -> None:
    model, places, *_ = made
    graph = DeploymentGraph(model)
    for index, stage in enumerate(graph.teacher.stages):
        names = [
            f"stages.{index}.{name}"
            for name, module in stage.named_modules()
            if isinstance(module, torch.nn.Conv2d)
        ]
        inside = [place.name for place in places if place.name.startswith(f"stages.{index}.")]
        assert inside == names[:-1]
    assert all(place.convolutions[1] == f"student.{place.name}" for place in places)


def test_the_file_passes_its_checks_and_counts_its_share(made: Any) -> None:
    _, _, _, path, chosen = made
    report = check_graph(path, "int8").require()
    assert report.int8_convolutions == 2 * len(chosen)
    assert report.half_share == 1.0
    assert report.opset == 19
    assert 0.1 < report.int8_share < 0.9
    assert check_graph(path, "fp16").problems


def test_the_files_weights_are_those_of_the_simulation(made: Any) -> None:
    model, _, inputs, path, chosen = made
    graph = DeploymentGraph(model)
    stored = {item.name: numpy_helper.to_array(item) for item in onnx.load(path).graph.initializer}
    compared = 0
    for place in chosen:
        name, how = place.convolutions[1], inputs[place.name]
        layer = convolution(graph, name)
        weight = layer.weight if how.divisors is None else times_channels(layer, layer.weight, how.divisors)
        steps = (how.steps(name, layer) / channel_scales(weight)[:, None, None, None]).round()
        np.testing.assert_array_equal(stored[f"{name}.weight_quantized"], steps.detach().numpy())
        compared += 1
    assert compared


def test_the_file_computes_what_the_simulation_does(made: Any) -> None:
    model, places, inputs, path, chosen = made
    images = random_images(3, seed=5)
    simulation = Simulation(DeploymentGraph(model), places, inputs)
    exact = simulation.predictor()(images)[0]
    simulation.use([place.name for place in chosen])
    expected = simulation.predictor()(images)[0]
    maps, _ = onnx_predictor(path)(images)
    change = np.abs(expected - exact).mean()
    assert change > 1e-5
    assert np.abs(maps - expected).mean() < 0.5 * change  # what is left is half precision
    simulation.use(())
    np.testing.assert_array_equal(simulation.predictor()(images)[0], exact)


def test_only_convolutions_read_what_was_rounded(made: Any) -> None:
    view = read_graph(made[3])
    readers = [
        node.op_type
        for node in view.nodes
        for name in node.input
        if name in view.producer and view.producer[name].op_type == "DequantizeLinear"
    ]
    assert set(readers) == {"Conv"}
    assert {node.domain for node in view.nodes if node.op_type in PAIR} == {""}


def test_a_spoilt_pair_is_named(made: Any, tmp_path: Path) -> None:
    model = onnx.load(made[3])
    pair = next(node for node in model.graph.node if node.op_type == "QuantizeLinear")
    zero = next(item for item in model.graph.initializer if item.name == pair.input[2])
    zero.CopyFrom(numpy_helper.from_array(np.array(3, np.int8), zero.name))
    onnx.save(model, tmp_path / "spoilt.onnx")
    problems = check_graph(tmp_path / "spoilt.onnx", "int8").problems
    assert any("the zero point must be 0" in problem for problem in problems)


def test_a_strong_channel_is_divided_where_that_helps() -> None:
    model = detector()
    graph = DeploymentGraph(model)
    place = next(item for item in interior(graph) if convolution(graph, item.convolutions[0]).groups == 1)
    layer = convolution(graph, place.convolutions[0])
    plain = Input(100.0 / 127)
    divisors = torch.ones(layer.in_channels)
    divisors[0] = 64.0
    scaled = Input(100.0 / 64 / 127, divisors)
    x = 2 * torch.rand(1, layer.in_channels, 8, 8) - 1
    x[:, 0] *= 90
    assert (scaled.round(x) - x)[:, 1:].abs().mean() < 0.1 * (plain.round(x) - x)[:, 1:].abs().mean()
    strong = (scaled.weights("", layer) - layer.weight)[:, 0].abs().max()
    assert strong < 0.02 * layer.weight.abs().max()  # it has 64 times the steps of the others


def test_the_worst_place_per_multiply_add_goes_back_first(made: Any) -> None:
    model, places, inputs, *_ = made
    spoilt = {**inputs, places[1].name: Input(50.0)}
    simulation = Simulation(DeploymentGraph(model), places, spoilt)
    error = errors(simulation, places, random_images(2))
    assert simulation.used == frozenset()
    assert max(error, key=lambda name: error[name]) == places[1].name
    work = dict.fromkeys(error, 10)
    assert worst_first(error, work)[0] == places[1].name
    assert worst_first({"a": 1.0, "b": 2.0}, {"a": 1, "b": 10}) == ["a", "b"]


def test_rtx_builds_one_engine_for_three_targets_from_it(made: Any, tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx-cu13 is not installed")
    options = BuildOptions(precision="int8", batch=BatchProfile.parse("1:8"))
    built = build_rtx(made[3], tmp_path, gpus="sm86,sm89,sm120", options=options)
    sidecar = read_sidecar(built.path)
    assert sidecar.sms == ("sm86", "sm89", "sm120")
    assert sidecar.half_share == 1.0
    # Parsed by TensorRT and read by us: the same pairs at the same convolutions.
    assert sidecar.int8_convolutions == 2 * len(made[4])
    assert sidecar.convolutions == check_graph(made[3], "int8").convolutions
    # And in the engine the weights of a 1 x 1 convolution are the INT8 numbers of the file.
    plan, graph = built.path.read_bytes(), DeploymentGraph(made[0])
    layers = {name: convolution(graph, name) for place in made[4] for name in place.convolutions}
    stored = {item.name: numpy_helper.to_array(item) for item in onnx.load(made[3]).graph.initializer}
    pointwise = [name for name, layer in layers.items() if layer.kernel_size == (1, 1)]
    assert pointwise
    for name in pointwise:
        assert stored[f"{name}.weight_quantized"].tobytes()[:48] in plan
    with pytest.raises(BackendError, match="is not a fp16 graph"):
        build_rtx(made[3], tmp_path / "other", gpus="sm86", options=BuildOptions(precision="fp16"))
