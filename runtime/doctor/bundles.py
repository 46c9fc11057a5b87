"""The bundles that lie here: whether each is whole, and whether it runs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from dmdd_edge.messages.commands import bundle_options, command
from dmdd_edge.runtime.doctor.findings import Finding
from dmdd_edge.runtime.doctor.install import version_of
from dmdd_edge.runtime.doctor.onnxruntime import BUILDS
from dmdd_edge.runtime.doctor.surroundings import Surroundings

_ME = "dmdd_edge.runtime.doctor.bundles"
#: Seconds: an engine is loaded, or a large graph is optimised on a slow processor.
_LIMIT = 180.0
#: The picture that is judged, where the region of interest does not need a larger one.
_WIDTH, _HEIGHT = 640, 480


def list_categories(models_dir: str) -> list[str]:
    """In a process of its own: the categories that have a bundle."""
    from dmdd_edge.workspace import list_bundles

    return list_bundles(models_dir)


def verify(path: str) -> dict[str, Any]:
    """In a process of its own: hold every file of the version in use against its manifest.

    Returns:
        ``problems``: message and fix each; ``version``, ``backbone`` and ``image_size``, None where unknown.
    """
    from dmdd_edge.bundle.bundle import Bundle, check
    from dmdd_edge.errors import DmddError

    problems = [[problem.message, problem.fix] for problem in check(path)]
    try:
        manifest = Bundle.open_unverified(path).manifest
    except DmddError:
        return {"problems": problems, "version": None, "backbone": None, "image_size": None}
    return {
        "problems": problems,
        "version": manifest.version,
        "backbone": manifest.backbone,
        "image_size": manifest.image_size,
    }


def run_once(path: str, backend: str, engine_cache: str | None) -> dict[str, Any]:
    """In a process of its own: judge one frame of noise with a verified bundle.

    Raises:
        DmddError: no back end can run it.
    """
    import numpy as np

    from dmdd_edge.runtime.backends.options import BackendOptions
    from dmdd_edge.runtime.detector import Detector

    options = BackendOptions(engine_cache=None if engine_cache is None else Path(engine_cache))
    start = time.perf_counter()
    with Detector.load(path, backend, verify=False, options=options) as detector:
        loaded = time.perf_counter()
        x, y, width, height = detector.bundle.manifest.preprocess.roi or (0, 0, 0, 0)
        shape = (max(y + height, _HEIGHT), max(x + width, _WIDTH), 3)
        frame = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        begun = time.perf_counter()
        result = detector(frame)
        ended = time.perf_counter()
        return {
            "backend": detector.backend.name,
            "description": detector.backend.description,
            "passed_over": [
                {"backend": other.name, "reason": other.reason, "fix": other.fix}
                for other in detector.passed_over
            ],
            "load_seconds": round(loaded - start, 3),
            "frame_ms": round(1000 * (ended - begun), 2),
            "infer_ms": round(result.timings.infer, 2),
        }


def examine_bundles(around: Surroundings) -> list[Finding]:
    """One finding a category; or one that says that there is none."""
    answer = around.ask(f"{_ME}:list_categories", str(around.models_dir))
    name, title, purpose = "bundles.none", "bundles", "run, calibrate and bench"
    if not answer.ok:
        said = f"{around.models_dir}/ cannot be looked at: {answer.failure}"
        return [Finding(name, title, "broken", said, purpose, answer.fix or "see what is broken above")]
    if not answer.value:
        export = command("export", models_dir=around.models_dir)
        fix = f"{export}, or copy models/ from where it was exported; --models-dir names another place"
        return [Finding(name, title, "missing", f"none in {around.models_dir}/", purpose, fix)]
    return [_one(category, around) for category in answer.value]


def _one(category: str, around: Surroundings) -> Finding:
    name, title = f"bundles.{category}", f"bundle {category}"
    purpose = f"--category {category}"
    path = str(around.models_dir / category)
    facts: dict[str, Any] = {"category": category, "path": path, "verified": False, "runs": False}
    verified = around.ask(f"{_ME}:verify", path, limit=_LIMIT)
    if not verified.ok:
        return Finding(name, title, "broken", verified.failure, purpose, verified.fix, facts)
    problems = verified.value.pop("problems")
    facts |= {**verified.value, "problems": [message for message, _ in problems]}
    if problems:
        said = " ".join(message for message, _ in problems)
        return Finding(name, title, "broken", said, purpose, problems[0][1], facts)
    facts["verified"] = True
    what = f"{facts['version']}, {facts['backbone']} {facts['image_size']} px"
    cache = None if around.engine_cache is None else str(around.engine_cache)
    ran = around.ask(f"{_ME}:run_once", path, "auto", cache, limit=_LIMIT)
    if ran.ok:
        facts |= {"runs": True, **ran.value}
        said = f"{what}: a frame in {facts['frame_ms']:.1f} ms, by {facts['description']}"
        return Finding(name, title, "ok", said, purpose, facts=facts)
    said, fix = f"{what}: it is whole and does not run: {ran.failure}", ran.fix
    if ran.kind in ("crash", "timeout"):
        # A library that brings the process down cannot be passed over; the plain back end does without most.
        plain = around.ask(f"{_ME}:run_once", path, "cpu", cache, limit=_LIMIT)
        if plain.ok:
            facts |= {"runs_on": "cpu", "frame_ms": plain.value["frame_ms"]}
            said += "; with --backend cpu it runs"
            chosen = bundle_options(category, None, around.models_dir)
            fix = command("run", **chosen, backend="cpu", source="SOURCE")
    elif not any(version_of(build) for build in BUILDS):
        fix = around.here.extra("cpu")
    return Finding(name, title, "broken", said, purpose, fix, facts)
