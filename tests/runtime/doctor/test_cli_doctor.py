"""The program itself, in a separate process, on simulated machines."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.cli import doctor
from dmdd_edge.runtime.doctor import examination
from dmdd_edge.runtime.doctor.examination import examine
from dmdd_edge.runtime.doctor.findings import Finding, Report
from dmdd_edge.runtime.doctor.install import Platform
from dmdd_edge.runtime.doctor.subprocess_call import Reply

Program = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run_doctor(program: list[str], tmp_path: Path) -> Program:
    """Run the command in ``tmp_path``. It starts a dozen processes, which takes long on a busy machine."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*program, "doctor", *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    return run


#: Names that other programs may rely on.
STABLE = {
    "machine.processor",
    "machine.int8",
    "machine.memory",
    "machine.system",
    "gpu.device",
    "gpu.driver",
    "gpu.cuda",
    "engines.tensorrt",
    "engines.rtx",
    "engines.cache",
    "onnxruntime.package",
    "onnxruntime.cpu",
    "onnxruntime.cuda",
    "opencv.package",
    "opencv.ffmpeg",
    "opencv.v4l2",
    "opencv.gstreamer",
    "opencv.window",
    "packages.core",
    "packages.mqtt",
    "packages.train",
    "packages.export",
    "packages.tensorboard",
}


@pytest.mark.slow
def test_a_machine_that_runs_a_bundle_is_healthy(
    make_bundle: Callable[..., Bundle], run_doctor: Program
) -> None:
    make_bundle()
    done = run_doctor("--json", "--engine-cache", "cache")
    report = json.loads(done.stdout)
    findings = {finding["name"]: finding for finding in report["findings"]}
    assert set(findings) >= STABLE | {"bundles.screw"}
    assert findings["bundles.screw"]["facts"]["runs"] is True
    assert report["can_run"] is True
    assert "cpu" in report["backends"]
    # The machine of the test may have something broken; then it must say what.
    assert report["healthy"] == (not report["broken"]) == (done.returncode == 0)
    for finding in findings.values():
        assert finding["state"] in ("ok", "missing", "broken")
        if finding["state"] != "ok":
            assert finding["needed_for"], finding
            assert finding["fix"], finding


@pytest.mark.slow
def test_packages_that_crash_are_named_and_crash_nothing_else(
    make_bundle: Callable[..., Bundle], run_doctor: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_bundle()
    fake = tmp_path / "fake"
    for name, source in {
        "cv2": "import ctypes; ctypes.string_at(0)",
        "onnxruntime": "raise ImportError('libonnx.so: undefined symbol: x')",
        "tensorrt": "import os; os.abort()",
    }.items():
        (fake / name).mkdir(parents=True)
        (fake / name / "__init__.py").write_text(source)
    monkeypatch.setenv("PYTHONPATH", str(fake))
    done = run_doctor()
    assert done.returncode == 1, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    said = " ".join(done.stderr.split())
    assert "broken OpenCV it crashed (SIGSEGV)" in said
    assert "broken ONNX Runtime ImportError: libonnx.so: undefined symbol: x" in said
    assert "broken TensorRT it crashed (SIGABRT)" in said
    assert "no bundle can run on this machine" in said
    last = done.stderr.strip().splitlines()[-1]
    assert "broken: TensorRT, ONNX Runtime, OpenCV, bundles" in last


OK = Finding("onnxruntime.cpu", "ONNX Runtime on the CPU", "ok", "runs a graph")
NO_GPU = Finding("gpu.device", "GPU", "missing", "none", "speed", "buy one")
NO_DRIVER = Finding("gpu.driver", "driver", "missing", "none", "the GPU", "buy one")
BAD_CAMERA = Finding("cameras.video0", "/dev/video0", "broken", "forbidden [x]", "cameras", "call for it")
CAMERA = Finding("cameras.video2", "/dev/video2", "ok", facts={"path": "/dev/video2"})
RUNS = Finding("bundles.nut", "bundle nut", "ok", facts={"category": "nut"})
FAILS = Finding("bundles.screw", "bundle screw", "broken", "altered", "x", "copy", {"category": "screw"})


@pytest.mark.parametrize(
    ("findings", "code", "last"),
    [
        ([OK, NO_GPU], 0, ["ready for a bundle, with --backend cpu", "next: dmdd-edge train --data DIR"]),
        ([NO_GPU], 1, ["no bundle can run on this machine: no backend works"]),
        ([OK, RUNS], 0, ["ready to run: nut", "next: dmdd-edge run --source FOLDER_OR_IMAGE"]),
        (
            [BAD_CAMERA, CAMERA, RUNS, FAILS],
            1,
            [
                "ready to run: nut; broken: /dev/video0, bundle screw",
                "next: dmdd-edge run --category nut --source /dev/video2",
            ],
        ),
        ([OK, FAILS], 1, ["no bundle can run on this machine; broken: bundle screw"]),
    ],
)
def test_the_last_lines_say_how_it_stands_and_what_comes_next(
    show: Callable[[list[Finding]], tuple[int, list[str]]],
    findings: list[Finding],
    code: int,
    last: list[str],
) -> None:
    ended, lines = show(findings)
    assert (ended, lines[-len(last) :]) == (code, last)


def test_what_the_same_command_mends_stands_together(
    show: Callable[[list[Finding]], tuple[int, list[str]]],
) -> None:
    _, lines = show([OK, NO_GPU, NO_DRIVER, BAD_CAMERA])
    assert "broken /dev/video0 forbidden [x]" in [" ".join(line.split()) for line in lines]
    fix, get = lines.index("To fix:"), lines.index("To get what is missing:")
    assert lines[fix + 1 : fix + 3] == ["/dev/video0, for cameras", "call for it"]
    assert lines[get + 1 : get + 4] == ["GPU, for speed", "driver, for the GPU", "buy one"]


@pytest.fixture
def show(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[list[Finding]], tuple[int, list[str]]]:
    """Run the command on these findings; the exit code and what it wrote to standard error, by line."""

    def run(findings: list[Finding]) -> tuple[int, list[str]]:
        monkeypatch.setattr(examination, "examine", lambda *arguments: Report("1.0", tuple(findings)))
        code = 0
        try:
            doctor.doctor(doctor.DoctorOptions())
        except typer.Exit as ended:
            code = ended.exit_code
        written = capsys.readouterr()
        assert written.out == ""
        return code, [line.strip() for line in written.err.splitlines() if line.strip()]

    return run


def test_an_examination_that_fails_itself_does_not_end_the_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(*arguments: object) -> None:
        raise RuntimeError("the doctor is ill")

    for name in ("examine_machine", "gather", "examine_opencv", "examine_packages"):
        monkeypatch.setattr(examination, name, fail)
    silent = Reply(failure="it says nothing", kind="crash")
    report = examine(tmp_path, call=lambda *arguments, **options: silent, platform=Platform())
    ill = [finding.name for finding in report.broken if finding.name.endswith(".examination")]
    assert ill == ["machine.examination", "gpu.examination", "opencv.examination", "packages.examination"]
    assert report.findings[0].detail == "the examination failed: RuntimeError: the doctor is ill"
    assert {"engines", "onnxruntime", "bundles"} <= {finding.group for finding in report.findings}
