"""The whole examination; it completes whatever is broken."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from dmdd_edge._version import __version__
from dmdd_edge.runtime.doctor.bundles import examine_bundles
from dmdd_edge.runtime.doctor.cameras import examine_cameras
from dmdd_edge.runtime.doctor.challenge import examine_challenge_sets
from dmdd_edge.runtime.doctor.context import Call, Context
from dmdd_edge.runtime.doctor.engines import examine_engines
from dmdd_edge.runtime.doctor.findings import Finding, Report
from dmdd_edge.runtime.doctor.genicam import examine_genicam
from dmdd_edge.runtime.doctor.gpu import Evidence, examine_gpu, gather
from dmdd_edge.runtime.doctor.install import Platform, this_platform
from dmdd_edge.runtime.doctor.machine import examine_machine
from dmdd_edge.runtime.doctor.onnxruntime import examine_onnxruntime
from dmdd_edge.runtime.doctor.opencv import examine_opencv
from dmdd_edge.runtime.doctor.packages import examine_packages
from dmdd_edge.runtime.doctor.recipe import examine_recipe
from dmdd_edge.runtime.doctor.subprocess_call import call as call_in_subprocess

_AT_ONCE = 2


def examine(
    models_dir: Path | str = "models",
    engine_cache: Path | None = None,
    *,
    call: Call = call_in_subprocess,
    platform: Platform | None = None,
) -> Report:
    """Examine everything.

    Args:
        models_dir: the folder of bundles.
        engine_cache: the folder of engines built here; None for the user's default.
        call: calls a function in a subprocess.
        platform: None for this machine's.
    """
    platform = this_platform() if platform is None else platform
    findings = {"machine": _guarded("machine", lambda: examine_machine(platform))}
    # The GPU before the others, which depend on whether there is one.
    evidence = Evidence({}, "", 0, bool(platform.jetson), None)
    try:
        evidence = gather(call, platform)
    except Exception as error:
        findings["gpu"] = [_failed("gpu", error)]
    findings["machine"] += _guarded("machine", lambda: examine_recipe(platform, evidence.present))
    context = Context(call, platform, Path(models_dir), engine_cache, evidence.present)
    findings.setdefault("gpu", _guarded("gpu", lambda: examine_gpu(evidence, context)))
    steps: dict[str, Callable[[Context], list[Finding]]] = {
        "engines": examine_engines,
        "onnxruntime": examine_onnxruntime,
        "opencv": examine_opencv,
        "cameras": examine_cameras,
        "genicam": examine_genicam,
        "packages": examine_packages,
    }
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        futures = {
            group: pool.submit(_guarded, group, lambda step=step: step(context))  # type: ignore[misc]
            for group, step in steps.items()
        }
        findings |= {group: future.result() for group, future in futures.items()}
    # The bundles last and alone, since a frame is timed.
    findings["bundles"] = _guarded("bundles", lambda: examine_bundles(context))
    findings["challenge"] = _guarded("challenge", lambda: examine_challenge_sets(context))
    return Report(__version__, tuple(finding for group in findings.values() for finding in group))


def _guarded(group: str, step: Callable[[], list[Finding]]) -> list[Finding]:
    """A step's findings; if it fails, one that says so."""
    try:
        return step()
    except Exception as error:  # one examination that fails must not hide the others
        return [_failed(group, error)]


def _failed(group: str, error: Exception) -> Finding:
    detail = f"the examination failed: {type(error).__name__}: {error}"
    return Finding(f"{group}.examination", group, "broken", detail, fix="Report this with the line above.")
