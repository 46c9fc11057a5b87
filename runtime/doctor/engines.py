"""TensorRT and TensorRT-RTX, and the engines built on this machine."""

from __future__ import annotations

from typing import Any

from dmdd_edge.messages.commands import command
from dmdd_edge.runtime.doctor.context import Context
from dmdd_edge.runtime.doctor.findings import Finding

_ME = "dmdd_edge.runtime.doctor.engines"
_MIB = 1 << 20
_TITLES = {"tensorrt": "TensorRT", "rtx": "TensorRT-RTX"}


def load(flavour: str) -> dict[str, Any]:
    """In a subprocess: load a library.

    Args:
        flavour: ``tensorrt`` or ``rtx``.

    Returns:
        ``installed``, and when it is, its ``version`` and ``path``.

    Raises:
        DmddError: it is installed but cannot be loaded, or its version is not supported.
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
    """In a subprocess: list the engine cache, without creating it.

    Returns:
        ``path``, and ``engines``: file, bytes, facts from its sidecar, or an ``error``.
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
                entry["error"] = (
                    f"{file} has {size:,} bytes instead of the {sidecar.engine_bytes:,} in its sidecar."
                )
        engines.append(entry)
    return {"path": str(folder), "engines": engines}


def examine_engines(context: Context) -> list[Finding]:
    """Both libraries, then the cache."""
    libraries = [_library(flavour, context) for flavour in _TITLES]
    versions = {
        flavour: library.facts.get("version") for flavour, library in zip(_TITLES, libraries, strict=True)
    }
    return [*libraries, _cache(versions, context)]


def _library(flavour: str, context: Context) -> Finding:
    name, title = f"engines.{flavour}", _TITLES[flavour]
    purpose = f"--backend {flavour}{context.with_gpu}"
    install = context.platform.extra(flavour)
    reply = context.call(f"{_ME}:load", flavour)
    if not reply.ok:
        return Finding(name, title, "broken", reply.failure, purpose, install)
    if not reply.value["installed"]:
        return Finding(name, title, "missing", "not installed", purpose, install)
    facts = {"version": reply.value["version"], "path": reply.value["path"]}
    return Finding(name, title, "ok", f"{facts['version']} loads", purpose, facts=facts)


def _cache(versions: dict[str, str | None], context: Context) -> Finding:
    name, title = "engines.cache", "engines built here"
    purpose = f"--backend tensorrt, which builds them with --build-engine{context.with_gpu}"
    option = None if context.engine_cache is None else str(context.engine_cache)
    reply = context.call(f"{_ME}:list_cache", option)
    if not reply.ok:
        return Finding(name, title, "broken", reply.failure, purpose, reply.fix)
    folder, engines = reply.value["path"], reply.value["engines"]
    facts = {"path": folder, "engines": engines}
    if not engines:
        build = command(
            "run",
            source="SOURCE",
            models_dir=context.models_dir,
            backend="tensorrt",
            build_engine=True,
            engine_cache=context.engine_cache,
        )
        return Finding(name, title, "missing", f"no engine in {folder}", purpose, build, facts)
    bad = [entry for entry in engines if entry["error"]]
    if bad:
        detail = " ".join(entry["error"] for entry in bad)
        remove = " ".join(f"'{entry['file']}'" for entry in bad)
        return Finding(name, title, "broken", detail, purpose, f"rm {remove}; they will be rebuilt", facts)
    stale = sum(entry["library_version"] != versions[entry["flavour"]] for entry in engines)
    size = sum(entry["bytes"] for entry in engines) / _MIB
    detail = f"{len(engines)} in {folder}, {size:.0f} MiB"
    other = f"; {stale} for another version of TensorRT" if stale else ""
    return Finding(name, title, "ok", detail + other, facts=facts)
