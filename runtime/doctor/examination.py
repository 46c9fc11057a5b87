"""The whole examination; it comes to its end whatever is broken."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from dmdd_edge._version import __version__
from dmdd_edge.runtime.doctor.bundles import examine_bundles
from dmdd_edge.runtime.doctor.cameras import examine_cameras
from dmdd_edge.runtime.doctor.engines import examine_engines
from dmdd_edge.runtime.doctor.findings import Finding, Report
from dmdd_edge.runtime.doctor.gpu import Evidence, examine_gpu, gather
from dmdd_edge.runtime.doctor.install import Platform, platform_here
from dmdd_edge.runtime.doctor.isolate import ask as ask_isolated
from dmdd_edge.runtime.doctor.machine import examine_machine
from dmdd_edge.runtime.doctor.onnxruntime import examine_onnxruntime
from dmdd_edge.runtime.doctor.opencv import examine_opencv
from dmdd_edge.runtime.doctor.packages import examine_packages
from dmdd_edge.runtime.doctor.surroundings import Ask, Surroundings

_AT_ONCE = 2


def examine(
    models_dir: Path | str = "models",
    engine_cache: Path | None = None,
    *,
    ask: Ask = ask_isolated,
    here: Platform | None = None,
) -> Report:
    """Look at all there is.

    Args:
        models_dir: where bundles are looked for.
        engine_cache: where engines built here lie; None for the user's own folder.
        ask: asks a question in a process of its own.
        here: the platform; None for this one.
    """
    here = platform_here() if here is None else here
    found = {"machine": _guarded("machine", lambda: examine_machine(here))}
    # The GPU before the others: what they say depends on whether there is one.
    evidence = Evidence({}, "", 0, bool(here.jetson), None)
    try:
        evidence = gather(ask, here)
    except Exception as error:
        found["gpu"] = [_failed("gpu", error)]
    around = Surroundings(ask, here, Path(models_dir), engine_cache, evidence.present)
    found.setdefault("gpu", _guarded("gpu", lambda: examine_gpu(evidence, around)))
    steps: dict[str, Callable[[Surroundings], list[Finding]]] = {
        "engines": examine_engines,
        "onnxruntime": examine_onnxruntime,
        "opencv": examine_opencv,
        "cameras": examine_cameras,
        "packages": examine_packages,
    }
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        begun = {
            group: pool.submit(_guarded, group, lambda step=step: step(around))  # type: ignore[misc]
            for group, step in steps.items()
        }
        found |= {group: future.result() for group, future in begun.items()}
    # The bundles last and alone, since a frame is timed.
    found["bundles"] = _guarded("bundles", lambda: examine_bundles(around))
    return Report(__version__, tuple(finding for group in found.values() for finding in group))


def _guarded(group: str, step: Callable[[], list[Finding]]) -> list[Finding]:
    """What a step found; that it failed, when it did."""
    try:
        return step()
    except Exception as error:  # a doctor that falls ill tells nothing about the patient
        return [_failed(group, error)]


def _failed(group: str, error: Exception) -> Finding:
    said = f"this could not be examined: {type(error).__name__}: {error}"
    return Finding(f"{group}.examination", group, "broken", said, fix="report this with the line above")
