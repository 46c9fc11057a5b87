"""The Triton repository, parsed with Triton's own message type and held against the graph that it serves."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from dmdd_edge.bundle.bundle import FP32_GRAPH, Bundle
from dmdd_edge.errors import DmddError
from dmdd_edge.export.triton import TritonModel, config_text, repository_from_bundle, write_model_repository
from dmdd_edge.runtime.engines.engine import BatchProfile, EngineSidecar, write_engine
from tests.export import small_graph
from tests.export.small_bundle import write_bundle

model_config = pytest.importorskip(
    "tritonclient.grpc.model_config_pb2", reason="tritonclient[grpc] is not installed"
)
text_format = pytest.importorskip("google.protobuf.text_format")


def parse(text: str) -> Any:
    """Read a config.pbtxt as Triton does: an unknown field or a wrong type is an error."""
    return text_format.Parse(text, model_config.ModelConfig())


@pytest.fixture(scope="module")
def bundle(small_fp32: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_bundle(tmp_path_factory.mktemp("models"), {FP32_GRAPH: small_fp32})


def test_the_configuration_is_what_triton_reads(bundle: Bundle, tmp_path: Path) -> None:
    folder = repository_from_bundle(bundle, tmp_path / "repository", queue_delay_us=1500, instances=2)
    assert folder == tmp_path / "repository" / "screw"
    assert sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()) == [
        "1/model.onnx",
        "config.pbtxt",
    ]
    assert (folder / "1" / "model.onnx").read_bytes() == bundle.file(FP32_GRAPH).read_bytes()
    config = parse((folder / "config.pbtxt").read_text())
    assert (config.name, config.platform, config.max_batch_size) == ("screw", "onnxruntime_onnx", 8)
    assert len(config.input) == 1
    image, (anomaly_map, score) = config.input[0], config.output
    assert (image.name, image.data_type, list(image.dims)) == ("image", model_config.TYPE_UINT8, [32, 32, 3])
    assert (anomaly_map.name, list(anomaly_map.dims)) == ("anomaly_map", [32, 32])
    assert (score.name, list(score.dims), list(score.reshape.shape)) == ("score", [1], [])
    assert score.HasField("reshape")
    assert {output.data_type for output in config.output} == {model_config.TYPE_FP32}
    assert list(config.dynamic_batching.preferred_batch_size) == [2, 4, 8]
    assert config.dynamic_batching.max_queue_delay_microseconds == 1500
    group = config.instance_group[0]
    assert (group.count, group.kind) == (2, model_config.ModelInstanceGroup.KIND_AUTO)
    assert config.version_policy.latest.num_versions == 1
    assert [(warm.batch_size, warm.inputs["image"].zero_data) for warm in config.model_warmup] == [
        (1, True),
        (8, True),
    ]
    parameters = {key: value.string_value for key, value in config.parameters.items()}
    assert float(parameters["threshold"]) == bundle.manifest.threshold.image == 0.3
    assert (parameters["color_order"], parameters["category"]) == ("BGR", "screw")
    assert parameters["bundle_version"] == bundle.version


def test_names_types_and_shapes_are_those_of_the_graph_served(bundle: Bundle, tmp_path: Path) -> None:
    """What Triton checks when it loads the model: batch dimension + dims (reshaped) = the graph's shape."""
    folder = repository_from_bundle(bundle, tmp_path)
    config = parse((folder / "config.pbtxt").read_text())
    session = onnxruntime.InferenceSession(folder / "1" / "model.onnx", providers=["CPUExecutionProvider"])
    numpy_types = {model_config.TYPE_UINT8: np.uint8, model_config.TYPE_FP32: np.float32}
    for batch in (1, 5, config.max_batch_size):
        feeds = {
            entry.name: np.zeros([batch, *entry.dims], numpy_types[entry.data_type]) for entry in config.input
        }
        results = session.run([entry.name for entry in config.output], feeds)
        for entry, result in zip(config.output, results, strict=True):
            per_image = entry.reshape.shape if entry.HasField("reshape") else entry.dims
            assert result.shape == (batch, *per_image)
            assert result.dtype == numpy_types[entry.data_type]


def sidecar(bundle: Bundle, data: bytes, **changes: Any) -> EngineSidecar:
    values: dict[str, Any] = {
        "flavour": "tensorrt",
        "engine_sha256": hashlib.sha256(data).hexdigest(),
        "engine_bytes": len(data),
        "onnx_sha256": bundle.manifest.files[FP32_GRAPH],
        "library_version": "10.16.1.11",
        "precision": "fp32",
        "image_size": small_graph.SIZE,
        "batch": BatchProfile.parse("1:6"),
        "gpu": "NVIDIA L4",
        "sms": ("sm89",),
        "convolutions": 5,
        "half_convolutions": 0,
        "opt_level": 3,
        "build_seconds": 1.0,
        "created": "2026-11-24T08:00:00+00:00",
        "created_with": "dmdd-edge 0.1.0",
    }
    return EngineSidecar.model_validate(values | changes)


def test_an_engine_is_served_as_a_plan(bundle: Bundle, tmp_path: Path) -> None:
    engine, data = tmp_path / "some.engine", b"plan" * 9
    write_engine(engine, data, sidecar(bundle, data))
    repository_from_bundle(bundle, tmp_path / "repository")  # the graph before: its file must go
    folder = repository_from_bundle(bundle, tmp_path / "repository", engine=engine)
    assert [path.name for path in (folder / "1").iterdir()] == ["model.plan"]
    assert (folder / "1" / "model.plan").read_bytes() == data
    config = parse((folder / "config.pbtxt").read_text())
    assert (config.platform, config.max_batch_size) == ("tensorrt_plan", 6)
    assert config.instance_group[0].kind == model_config.ModelInstanceGroup.KIND_GPU
    assert list(config.dynamic_batching.preferred_batch_size) == [2, 4, 6]
    assert config.parameters["engine"].string_value == "TensorRT 10.16.1.11 on NVIDIA L4 (sm89)"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"flavour": "rtx", "gpu": None}, "is a TensorRT-RTX engine, which Triton does not run"),
        ({"onnx_sha256": "0" * 64}, "was not built from a graph of screw"),
        ({"batch": BatchProfile.parse("4")}, "Triton also sends single images; batches of 4"),
    ],
)
def test_engines_that_triton_could_not_serve_are_refused(
    change: dict[str, Any], message: str, bundle: Bundle, tmp_path: Path
) -> None:
    engine, data = tmp_path / "some.engine", b"plan" * 9
    write_engine(engine, data, sidecar(bundle, data, **change))
    with pytest.raises(DmddError, match=message):
        repository_from_bundle(bundle, tmp_path / "repository", engine=engine)


@pytest.mark.parametrize(
    ("batch", "preferred"),
    [("1", []), ("1:2", [2]), ("1:3", [2, 3]), ("1:8", [2, 4, 8]), ("1:12", [2, 4, 8, 12])],
)
def test_preferred_batches_are_worth_waiting_for(batch: str, preferred: list[int]) -> None:
    model = TritonModel("part", 256, batch=BatchProfile.parse(batch))
    config = parse(config_text(model))
    assert config.HasField("dynamic_batching") == bool(preferred)
    assert list(config.dynamic_batching.preferred_batch_size) == preferred


def test_awkward_facts_survive_quoting() -> None:
    fact = 'C:\\parts "left"\nline two, ümlaut'
    config = parse(config_text(TritonModel("part", 256, facts={'a "key"': fact}, device="cpu")))
    assert config.parameters['a "key"'].string_value == fact
    assert config.instance_group[0].kind == model_config.ModelInstanceGroup.KIND_CPU


def test_what_cannot_be_served_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    for name in ("", "../up", "a/b", ".hidden", "two words"):
        with pytest.raises(DmddError, match="is not a valid name of a Triton model"):
            TritonModel(name, 256)
    with pytest.raises(DmddError, match="does not run on the CPU"):
        TritonModel("part", 256, platform="tensorrt_plan", device="cpu")
    with pytest.raises(DmddError, match="at least one instance"):
        TritonModel("part", 256, instances=0)
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "holiday.jpg").touch()
    with pytest.raises(DmddError, match="is not a Triton model"):
        write_model_repository(bundle.file(FP32_GRAPH), TritonModel("part", 256), tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(DmddError, match="cannot be written"):
        write_model_repository(bundle.file(FP32_GRAPH), TritonModel("part", 256), tmp_path / "file")
