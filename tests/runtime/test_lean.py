"""The runtime must stay lean: no torch, no onnx, and an environment of ``.[cpu]`` alone is enough."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

from dmdd_edge.bundle.bundle import Bundle

REPOSITORY = Path(__file__).resolve().parents[2]

_IMPORT_ALL = """
import importlib, pkgutil, sys
import dmdd_edge.runtime
for module in pkgutil.walk_packages(dmdd_edge.runtime.__path__, "dmdd_edge.runtime."):
    importlib.import_module(module.name)
from dmdd_edge import Detector
from dmdd_edge.cli import bench, calibrate, doctor, models, run
heavy = {"torch", "torchvision", "timm", "onnx", "onnxscript"} & set(sys.modules)
assert not heavy, heavy
assert Detector.__module__ == "dmdd_edge.runtime.detector"
"""


def test_the_runtime_imports_neither_torch_nor_onnx() -> None:
    subprocess.run([sys.executable, "-c", _IMPORT_ALL], check=True, timeout=60)


def test_the_commands_load_nothing_before_they_run() -> None:
    code = (
        "import sys\n"
        "from dmdd_edge.cli import bench, calibrate, doctor, models, run\n"
        "import typer\n"
        "app = typer.Typer()\n"
        "for module in (bench, calibrate, doctor, models, run): module.register(app)\n"
        "heavy = {'numpy', 'cv2', 'pydantic', 'onnxruntime', 'torch'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.slow
@pytest.mark.network
def test_an_environment_of_the_cpu_extra_runs_a_bundle(
    make_bundle: Callable[..., Bundle], images: Path, tmp_path: Path
) -> None:
    make_bundle()
    source = tmp_path / "source"
    shutil.copytree(
        REPOSITORY,
        source,
        ignore=shutil.ignore_patterns(".*", "runs", "models", "demo", "*.egg-info", "build"),
    )
    environment = tmp_path / "environment"
    venv.create(environment)
    # This environment's pip, since putting one into the new one takes as long as the rest.
    pip = [sys.executable, "-m", "pip", "--python", str(environment / "bin" / "python")]
    install = subprocess.run(
        [*pip, "install", "--quiet", "--disable-pip-version-check", "--no-compile", f"{source}[cpu]"],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    if install.returncode and any(
        part in install.stderr for part in ("No matching", "Could not", "Connection")
    ):
        pytest.skip(f"no package index answers: {install.stderr.strip().splitlines()[-1]}")
    assert install.returncode == 0, install.stderr
    listed = subprocess.check_output([*pip, "list", "--format", "json"], text=True)
    names = {package["name"].lower() for package in json.loads(listed)}
    assert "onnxruntime" in names
    assert not names & {"torch", "torchvision", "timm", "onnx", "onnxscript"}
    done = subprocess.run(
        [environment / "bin" / "dmdd-edge", "run", "--source", "images", "--save", "out", "--json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line.get("status") for line in lines[:-1]] == ["anomalous", "anomalous", "good", "good"]
    assert lines[0]["score"] == pytest.approx(0.8)
    assert lines[-1]["frames"] == 4
