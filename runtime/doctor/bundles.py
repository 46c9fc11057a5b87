"""The bundles on this machine: whether each is intact, and whether it runs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from dmdd_edge.messages.commands import bundle_options, command
from dmdd_edge.runtime.doctor.context import Context
from dmdd_edge.runtime.doctor.findings import Finding
from dmdd_edge.runtime.doctor.install import version_of
from dmdd_edge.runtime.doctor.onnxruntime import BUILDS

_ME = "dmdd_edge.runtime.doctor.bundles"
#: Seconds: loading an engine, or optimizing a large graph on a slow processor.
_LIMIT = 180.0
#: Size of the test frame, unless the region of interest needs a larger one.
_WIDTH, _HEIGHT = 640, 480
#: Rows and columns of a large frame, of 20 megapixels, whose memory is named.
_LARGE = 4000, 5000


def list_categories(models_dir: str) -> list[str]:
    """In a subprocess: list the categories that have a bundle."""
    from dmdd_edge.workspace import list_bundles

    return list_bundles(models_dir)


def verify(path: str) -> dict[str, Any]:
    """In a subprocess: verify every file of the version in use with its manifest.

    Returns:
        ``problems``: pairs of message and fix; ``version``, ``backbone``, ``image_size``: None if unknown.
    """
    from dmdd_edge.bundle.bundle import GRAPHS, Bundle, check
    from dmdd_edge.errors import DmddError

    problems = [[problem.message, problem.fix] for problem in check(path)]
    try:
        manifest = Bundle.open_unverified(path).manifest
    except DmddError:
        return {"problems": problems, "version": None, "backbone": None, "image_size": None, "precisions": []}
    return {
        "problems": problems,
        "version": manifest.version,
        "backbone": manifest.backbone,
        "image_size": manifest.image_size,
        "precisions": [name for name, graph in GRAPHS.items() if graph in manifest.files],
    }


def run_once(path: str, backend: str, engine_cache: str | None) -> dict[str, Any]:
    """In a subprocess: run one frame of noise through a verified bundle.

    Raises:
        DmddError: no backend can run it.
    """
    import numpy as np

    from dmdd_edge.data.preprocess import Preprocess
    from dmdd_edge.runtime.detector import Detector
    from dmdd_edge.runtime.options.backend import BackendOptions

    options = BackendOptions(engine_cache=None if engine_cache is None else Path(engine_cache))
    start = time.perf_counter()
    with Detector.load(path, backend, verify=False, options=options) as detector:
        loaded = time.perf_counter()
        preprocess = detector.bundle.manifest.preprocess
        x, y, width, height = preprocess.roi or (0, 0, 0, 0)
        rows, columns = preprocess.only_size or (max(y + height, _HEIGHT), max(x + width, _WIDTH))
        frame = np.random.default_rng(0).integers(0, 256, (rows, columns, 3), np.uint8)
        began = time.perf_counter()
        result = detector(frame)
        ended = time.perf_counter()
        tiles = {}
        if detector.is_tiled and result.geometry is not None:
            manifest = detector.bundle.manifest
            large = Preprocess(tiling=preprocess.tiling).geometry(_LARGE, manifest.image_size)
            tiles = {
                "tiles": result.geometry.layout.count,
                "tile_batch": detector.tile_batch,
                "mib_of_20_megapixels": round(large.memory_mb),
            }
        return {
            **tiles,
            "backend": detector.backend.name,
            "precision": detector.backend.precision,
            "description": detector.backend.description,
            "passed_over": [
                {"backend": other.name, "reason": other.reason, "fix": other.fix}
                for other in detector.passed_over
            ],
            "load_seconds": round(loaded - start, 3),
            "frame_ms": round(1000 * (ended - began), 2),
            "infer_ms": round(result.timings.infer, 2),
        }


def examine_bundles(context: Context) -> list[Finding]:
    """One finding per category; or one that no bundle exists."""
    reply = context.call(f"{_ME}:list_categories", str(context.models_dir))
    name, title, purpose = "bundles.none", "bundles", "run, calibrate and bench"
    if not reply.ok:
        detail = f"cannot read {context.models_dir}/: {reply.failure}"
        return [Finding(name, title, "broken", detail, purpose, reply.fix or "Fix what is broken above.")]
    if not reply.value:
        export = command("export", models_dir=context.models_dir)
        fix = f"{export}, or copy models/ from where it was exported; --models-dir names another folder"
        return [Finding(name, title, "missing", f"no bundle in {context.models_dir}/", purpose, fix)]
    return [_one(category, context) for category in reply.value]


def _one(category: str, context: Context) -> Finding:
    name, title = f"bundles.{category}", f"bundle {category}"
    purpose = f"--category {category}"
    path = str(context.models_dir / category)
    facts: dict[str, Any] = {"category": category, "path": path, "verified": False, "runs": False}
    verified = context.call(f"{_ME}:verify", path, limit=_LIMIT)
    if not verified.ok:
        return Finding(name, title, "broken", verified.failure, purpose, verified.fix, facts)
    problems = verified.value.pop("problems")
    facts |= {**verified.value, "problems": [message for message, _ in problems]}
    if problems:
        detail = " ".join(message for message, _ in problems)
        return Finding(name, title, "broken", detail, purpose, problems[0][1], facts)
    facts["verified"] = True
    graphs = "/".join(facts["precisions"])
    summary = f"{facts['version']}, {facts['backbone']} {facts['image_size']} px, {graphs}"
    cache = None if context.engine_cache is None else str(context.engine_cache)
    ran = context.call(f"{_ME}:run_once", path, "auto", cache, limit=_LIMIT)
    if ran.ok:
        facts |= {"runs": True, **ran.value}
        frame, memory = "a frame", ""
        if "tiles" in facts:
            frame = f"a frame of {facts['tiles']} tiles"
            memory = f"; one of 20 megapixels takes {facts['mib_of_20_megapixels']} MiB with its maps"
        detail = f"{summary}: {frame} in {facts['frame_ms']:.1f} ms, by {facts['description']}{memory}"
        return Finding(name, title, "ok", detail, purpose, facts=facts)
    detail, fix = f"{summary}: intact, but does not run: {ran.failure}", ran.fix
    if ran.kind in ("crash", "timeout"):
        # A library that crashes the process cannot be skipped; the plain backend loads the fewest.
        plain = context.call(f"{_ME}:run_once", path, "cpu", cache, limit=_LIMIT)
        if plain.ok:
            facts |= {"runs_on": "cpu", "frame_ms": plain.value["frame_ms"]}
            detail += "; it runs with --backend cpu"
            chosen = bundle_options(category, None, context.models_dir)
            fix = command("run", **chosen, backend="cpu", source="SOURCE")
    elif not any(version_of(build) for build in BUILDS):
        fix = context.platform.extra("cpu")
    return Finding(name, title, "broken", detail, purpose, fix, facts)
