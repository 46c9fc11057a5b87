"""What the libraries do by themselves: nothing is sent, and nothing is written into the home folder."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from dmdd_edge.privacy import SWITCHES, keep_private

ROOT = Path(__file__).resolve().parents[1]

RUN_COMMANDS = """
import json, sys
from dmdd_edge.cli.main import app

for arguments in json.loads(sys.argv[1]):
    try:
        app(arguments)
    except SystemExit as end:
        assert not end.code, (arguments, end.code)
"""

OPEN_A_SESSION = """
from dmdd_edge.runtime.doctor.onnxruntime import try_provider

assert try_provider("CPUExecutionProvider")["right"]
"""

#: Where builds of ONNX Runtime say so, they send nothing in continuous integration.
_CONTINUOUS_INTEGRATION = ("CI", "GITHUB_ACTIONS", "TF_BUILD")


@cache
def _works(*command: str) -> bool:
    try:
        done = subprocess.run([*command, "true"], capture_output=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _traces(code: str, *arguments: str, folder: Path, **environment: str) -> list[str]:
    """What a process left in its home folder, and whom it tried to reach where strace can tell."""
    if not _works("unshare", "-rn"):
        pytest.skip("a network namespace cannot be made here (unshare -rn)")
    home, trace = folder / "home", folder / "trace"
    home.mkdir()
    # The filter lets the kernel stop the process at connect alone, instead of at each system call.
    options = ("-f", "--seccomp-bpf", "-qq", *("-e", "trace=connect"), *("-e", "signal=none"))
    traced = _works("strace", "-f", "--seccomp-bpf", "-o", os.devnull)
    # The package sets the switches, not the environment of the tests.
    left_out = {*SWITCHES, *_CONTINUOUS_INTEGRATION, "XDG_CACHE_HOME", "XDG_CONFIG_HOME"}
    kept = {name: value for name, value in os.environ.items() if name not in left_out}
    tracer = ["strace", *options, "-o", str(trace)] if traced else []
    done = subprocess.run(
        ["unshare", "-rn", *tracer, sys.executable, "-c", code, *arguments],
        cwd=folder,
        env={**kept, "HOME": str(home), "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    left = sorted(path.relative_to(home).as_posix() for path in home.rglob("*"))
    reached = [line for line in trace.read_text().splitlines() if "AF_INET" in line] if traced else []
    return left + reached


@pytest.mark.slow
def test_no_command_reaches_out_or_leaves_anything_in_the_home_folder(
    plates: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    commands: list[list[object]] = [
        ["train", "--data", plates, "--category", "plate", "--backbone", "timm:test_efficientnet",
         "--weights", tiny_weights, "--image-size", 64, "--steps", 1, "--batch-size", 2, "--device", "cpu",
         "--branches", "normality", "--pmn", "none", "--head", "sum"],
        ["evaluate", "--category", "plate"],
        ["export", "--category", "plate", "--target", "onnx"],
        ["run", "--source", plates / "plate" / "test" / "good", "--save", "out", "--backend", "cpu"],
        ["bench", "--duration", 0.1, "--warm-up", 0, "--backend", "cpu", "--scenario", "single"],
        ["doctor"],
    ]  # fmt: skip
    given = json.dumps([[str(part) for part in command] for command in commands])
    # A network of few layers: only what the libraries leave behind counts here.
    left = _traces(RUN_COMMANDS, given, folder=tmp_path)
    assert left == []


def test_a_session_leaves_nothing_unless_the_user_asks(tmp_path: Path) -> None:
    assert _traces(OPEN_A_SESSION, folder=tmp_path) == []


def test_every_switch_is_set_and_one_that_is_set_already_stays() -> None:
    environment = {"HF_HUB_DISABLE_TELEMETRY": "0"}
    assert keep_private(environment)
    assert environment == {**SWITCHES, "HF_HUB_DISABLE_TELEMETRY": "0"}
    assert environment["ORT_DISABLE_TELEMETRY"] == "1"


def test_a_user_who_asks_for_telemetry_has_it() -> None:
    environment = {"DMDD_TELEMETRY": "1"}
    assert not keep_private(environment)
    assert environment == {"DMDD_TELEMETRY": "1"}


def test_nothing_beside_the_package_imports_onnx_runtime_before_it() -> None:
    """The package's own modules are imported after it; a script must take the door that is in it."""
    early = [
        path.relative_to(ROOT).as_posix()
        for folder in ("benchmarks", "examples", "docs")
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if (isinstance(node, ast.Import) and any(name.name == "onnxruntime" for name in node.names))
        or (isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "onnxruntime")
    ]
    assert early == []
