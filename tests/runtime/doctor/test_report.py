from __future__ import annotations

import json

import pytest

from dmdd_edge.runtime.doctor.findings import Finding, Report, State


def report(**states: State) -> Report:
    """A report of findings; ``bundles_screw`` stands for bundles.screw."""
    findings = []
    for key, state in states.items():
        name = key.replace("_", ".", 1)
        facts = {"category": "screw"} if name.startswith("bundles.") else {}
        findings.append(Finding(name, name, state, facts=facts))
    return Report("1.0", tuple(findings))


@pytest.mark.parametrize(
    ("states", "can_run", "healthy"),
    [
        ({"onnxruntime_cpu": "ok"}, True, True),
        ({"onnxruntime_cpu": "missing"}, False, False),
        ({"onnxruntime_cuda": "ok", "onnxruntime_cpu": "missing"}, True, True),
        # An engine's library alone runs nothing: it takes CUDA, too.
        ({"engines_tensorrt": "ok", "gpu_cuda": "missing"}, False, False),
        ({"engines_tensorrt": "ok", "gpu_cuda": "ok"}, True, True),
        ({"engines_rtx": "ok", "gpu_cuda": "ok"}, True, True),
        # With a bundle it is the bundle that counts.
        ({"onnxruntime_cpu": "ok", "bundles_screw": "broken"}, False, False),
        ({"bundles_screw": "ok", "bundles_nut": "broken"}, True, False),
        ({"bundles_screw": "ok", "gpu_device": "missing"}, True, True),
        ({"bundles_screw": "ok", "cameras_video0": "broken"}, True, False),
    ],
)
def test_what_follows_from_the_findings(states: dict[str, State], can_run: bool, healthy: bool) -> None:
    made = report(**states)
    assert (made.can_run, made.healthy) == (can_run, healthy)


def test_the_names_in_json_stay() -> None:
    made = report(onnxruntime_cpu="ok", opencv_package="broken").to_json()
    assert {key: value for key, value in made.items() if key != "findings"} == {
        "version": "1.0",
        "healthy": False,
        "can_run": True,
        "backends": ["cpu"],
        "broken": ["opencv.package"],
    }
    assert json.loads(json.dumps(made["findings"]))[1] == {
        "group": "opencv",
        "name": "opencv.package",
        "title": "opencv.package",
        "state": "broken",
        "detail": "",
        "needed_for": "",
        "fix": "",
        "facts": {},
    }
