"""Engines on the command line: which options reach the backend, and --build-engine."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from dmdd_edge import DmddError
from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.cli.main import app
from dmdd_edge.export import targets
from dmdd_edge.runtime.engines.engine import BatchProfile
from tests.runtime.gpu.simulated_gpu import Gpu
from tests.runtime.gpu.simulated_tensorrt import SimulatedTensorrt, engine_bytes

Make = Callable[..., Bundle]
Put = Callable[..., Path]
Cli = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def cli(cache: Path, images: Path) -> Cli:
    """Run a command on the images in this process; returns its JSON lines."""

    def run(command: str, bundle: Bundle, *arguments: str) -> list[dict[str, Any]]:
        yes = ["--yes"] if command == "calibrate" else []
        line = [command, *yes, "--model", str(bundle.path), "--source", str(images), "--json", *arguments]
        done = CliRunner().invoke(app, [*line, "--engine-cache", str(cache)])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        text = done.stdout
        return [json.loads(text)] if command == "calibrate" else [json.loads(x) for x in text.splitlines()]

    return run


@pytest.mark.usefixtures("cudart", "trt", "clean")
def test_a_folder_on_an_engine(both_graphs: Make, put_engine: Put, cli: Cli, gpu: Gpu) -> None:
    bundle = both_graphs()
    put_engine(bundle)
    *lines, summary = cli("run", bundle, "--io-memory", "mapped", "--cuda-driver", "cuda-bindings")
    assert [line["status"] for line in lines] == ["anomalous", "anomalous", "good", "good"]
    assert [line["index"] for line in lines] == [0, 1, 2, 3]
    assert (summary["backend"], summary["frames"]) == ("tensorrt", 4)
    assert "cudaMemcpyAsync" not in gpu.calls
    assert len(gpu.streams) == 2, "a folder has two slots"


@pytest.mark.usefixtures("cudart", "trt", "clean")
def test_calibrating_on_an_engine(both_graphs: Make, put_engine: Put, cli: Cli, images: Path) -> None:
    (images / "bad" / "1.png").unlink()  # its score is 1, which is no threshold
    bundle = both_graphs()
    put_engine(bundle)
    (document,) = cli("calibrate", bundle)
    assert document["backend"] == "tensorrt"


@pytest.mark.usefixtures("pycuda", "trt")
def test_the_other_driver_and_one_that_is_none(
    both_graphs: Make, put_engine: Put, cli: Cli, gpu: Gpu
) -> None:
    bundle = both_graphs()
    put_engine(bundle)
    *_, summary = cli("run", bundle, "--backend", "tensorrt", "--cuda-driver", "pycuda")
    assert summary["backend"] == "tensorrt"
    assert "mem_alloc" in gpu.calls
    with pytest.raises(DmddError, match="--cuda-driver 'opencl' is unknown"):
        cli("run", bundle, "--cuda-driver", "opencl")


@pytest.mark.usefixtures("cudart", "trt", "clean")
@pytest.mark.parametrize("backend", ["auto", "tensorrt"])
def test_a_missing_engine_is_built_once(
    backend: str, both_graphs: Make, put_engine: Put, cli: Cli, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = both_graphs()
    built: list[dict[str, Any]] = []

    def build(bundle: Bundle, target: str, **how: Any) -> Any:
        built.append({"target": target, **how})
        how["progress"](0.5, "tactics")
        path = put_engine(bundle, engine_bytes(batch=(1, 1, 1)), batch=BatchProfile())
        return type("Built", (), {"path": path})

    monkeypatch.setattr(targets, "build_for_bundle", build)
    for _ in range(2):
        *_, summary = cli("run", bundle, "--backend", backend, "--build-engine")
        assert summary["backend"] == "tensorrt"
    (how,) = built
    assert (how["target"], how["cache"], how["gpus"]) == ("tensorrt", cache, "sm86")
    assert (str(how["options"].batch), how["options"].precision) == ("1", "fp16")


@pytest.mark.usefixtures("cudart", "rtx", "clean")
def test_without_tensorrt_its_sister_builds(
    both_graphs: Make, put_engine: Put, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = both_graphs()

    def build(bundle: Bundle, target: str, **how: Any) -> Any:
        assert target == "rtx"
        data = engine_bytes(batch=(1, 1, 1))
        path = put_engine(
            bundle, data, batch=BatchProfile(), flavour="rtx", library_version="1.7.1", gpu=None
        )
        return type("Built", (), {"path": path})

    monkeypatch.setattr(targets, "build_for_bundle", build)
    *_, summary = cli("run", bundle, "--build-engine")
    assert summary["backend"] == "rtx"


def test_where_no_engine_can_be_built_it_is_an_error(
    both_graphs: Make, cli: Cli, trt: SimulatedTensorrt, cudart: Any, gpu: Gpu
) -> None:
    bundle = both_graphs()
    with pytest.raises(DmddError, match="--build-engine has no effect with --backend cpu"):
        cli("run", bundle, "--backend", "cpu", "--build-engine")
    gpu.broken = "cudaErrorNoDevice"
    with pytest.raises(
        DmddError, match=r"Cannot build an engine on this machine: Cannot use CUDA: .*TensorRT-RTX"
    ):
        cli("run", bundle, "--build-engine")
    with pytest.raises(DmddError, match="Cannot build an engine on this machine: TensorRT-RTX"):
        cli("run", bundle, "--backend", "rtx", "--build-engine")


def test_building_needs_neither_torch_nor_onnx() -> None:
    code = (
        "import sys\n"
        "for name in ('torch', 'torchvision', 'timm', 'onnx', 'onnxscript'): sys.modules[name] = None\n"
        "import dmdd_edge.cli.engine_build, dmdd_edge.export.targets, dmdd_edge.export.engines.build\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
