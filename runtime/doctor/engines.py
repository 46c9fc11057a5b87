"""TensorRT and TensorRT-RTX, and the engines that were built on this machine."""

from __future__ import annotations

from typing import Any

from dmdd_edge.messages.commands import command
from dmdd_edge.runtime.doctor.findings import Finding
from dmdd_edge.runtime.doctor.surroundings import Surroundings

_ME = "dmdd_edge.runtime.doctor.engines"
_MIB = 1 << 20
_TITLES = {"tensorrt": "TensorRT", "rtx": "TensorRT-RTX"}


def load(flavour: str) -> dict[str, Any]:
    """In a process of its own: load a library.

    Args:
        flavour: ``tensorrt`` or ``rtx``.

    Returns:
        ``installed``, and when it is, its ``version`` and ``path``.

    Raises:
        DmddError: it is installed and cannot be loaded, or is of a version that is not served.
    """
    from dmdd_edge.errors import DmddError
    from dmdd_edge.runtime.engines.library import load_library, require_installed

    try:
        require_installed(flavour)  # type: ignore[arg-type]
    except DmddError:
        return {"installed": False}
    module = load_library(flavour)  # type: ignore[arg-type]
    return {"installed": True, "version": str(module.__version__), "path": str(module.__file__)}


def list_cache(option: str | None) -> dict[str, Any]:
    """In a process of its own: what lies in the engine cache; makes nothing.

    Returns:
        ``path``, and ``engines``: file, bytes, what its sidecar says it is for, or an ``error``.
    """
    from dmdd_edge.errors import DmddError
    from dmdd_edge.runtime.engines.cache import engine_cache_path
    from dmdd_edge.runtime.engines.sidecar import read_sidecar

    folder = engine_cache_path(option)
    engines: list[dict[str, Any]] = []
    for file in sorted(folder.rglob("*.engine")):
        size = file.stat().st_size
        entry: dict[str, Any] = {"file": str(file), "bytes": size, "error": ""}
        try:
            sidecar = read_sidecar(file)
        except DmddError as error:
            entry["error"] = error.message
        else:
            fields = {"flavour", "library_version", "gpu", "sms", "precision", "onnx_sha256"}
            entry |= {**sidecar.model_dump(mode="json", include=fields), "batch": str(sidecar.batch)}
            if size != sidecar.engine_bytes:
                entry["error"] = f"{file} has {size:,} bytes, its sidecar says {sidecar.engine_bytes:,}."
        engines.append(entry)
    return {"path": str(folder), "engines": engines}


def examine_engines(around: Surroundings) -> list[Finding]:
    """Both libraries, then the cache."""
    libraries = [_library(flavour, around) for flavour in _TITLES]
    versions = {
        flavour: found.facts.get("version") for flavour, found in zip(_TITLES, libraries, strict=True)
    }
    return [*libraries, _cache(versions, around)]


def _library(flavour: str, around: Surroundings) -> Finding:
    name, title = f"engines.{flavour}", _TITLES[flavour]
    purpose = f"--backend {flavour}{around.with_gpu}"
    get = around.here.extra(flavour)
    answer = around.ask(f"{_ME}:load", flavour)
    if not answer.ok:
        return Finding(name, title, "broken", answer.failure, purpose, get)
    if not answer.value["installed"]:
        return Finding(name, title, "missing", "not installed", purpose, get)
    facts = {"version": answer.value["version"], "path": answer.value["path"]}
    return Finding(name, title, "ok", f"{facts['version']} loads", purpose, facts=facts)


def _cache(versions: dict[str, str | None], around: Surroundings) -> Finding:
    name, title = "engines.cache", "engines built here"
    purpose = f"--backend tensorrt, which builds them when it is told to{around.with_gpu}"
    option = None if around.engine_cache is None else str(around.engine_cache)
    answer = around.ask(f"{_ME}:list_cache", option)
    if not answer.ok:
        return Finding(name, title, "broken", answer.failure, purpose, answer.fix)
    folder, engines = answer.value["path"], answer.value["engines"]
    facts = {"path": folder, "engines": engines}
    if not engines:
        build = command(
            "run",
            source="SOURCE",
            models_dir=around.models_dir,
            backend="tensorrt",
            build_engine=True,
            engine_cache=around.engine_cache,
        )
        return Finding(name, title, "missing", f"none in {folder}", purpose, build, facts)
    bad = [entry for entry in engines if entry["error"]]
    if bad:
        said = " ".join(entry["error"] for entry in bad)
        remove = " ".join(f"'{entry['file']}'" for entry in bad)
        return Finding(name, title, "broken", said, purpose, f"rm {remove}; they are built again", facts)
    stale = sum(entry["library_version"] != versions[entry["flavour"]] for entry in engines)
    size = sum(entry["bytes"] for entry in engines) / _MIB
    said = f"{len(engines)} in {folder}, {size:.0f} MiB"
    other = f"; {stale} for a TensorRT that is not the one here" if stale else ""
    return Finding(name, title, "ok", said + other, facts=facts)
