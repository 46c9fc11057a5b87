"""Check an engine before it is deserialized; each reason names both sides.

Deserializing runs native code, so an engine is only used when a bundle's manifest lists it, or when it is
in this machine's own engine cache and matches its sidecar.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from dmdd_edge.errors import BackendError, DmddError
from dmdd_edge.messages.commands import command
from dmdd_edge.outside_files import open_regular
from dmdd_edge.runtime.cuda.gpu import GpuFacts
from dmdd_edge.runtime.engines.sidecar import (
    BatchProfile,
    EngineSidecar,
    read_sidecar,
    sidecar_path,
    write_engine,
)
from dmdd_edge.storage import sha256_of

__all__ = [
    "BatchProfile",
    "EngineNeeds",
    "EngineSidecar",
    "check_engine",
    "load_engine",
    "read_sidecar",
    "rebuild_command",
    "sidecar_path",
    "write_engine",
]


@dataclass(frozen=True)
class EngineNeeds:
    """What an engine must match to be used on this machine.

    Attributes:
        onnx_sha256: of the bundle's graph, which it must have been built from.
        library_version: of TensorRT on this machine (of TensorRT-RTX, for an engine of that flavour).
        gpu: the GPU it would run on.
        listed_sha256: the hash in the bundle's manifest, for an engine of the bundle.
        cache: this machine's engine cache, for an engine built here.
        batch: the required batch size; None for any.
    """

    onnx_sha256: str
    library_version: str
    gpu: GpuFacts
    listed_sha256: str | None = None
    cache: Path | None = None
    batch: int | None = None


def check_engine(engine: Path, needs: EngineNeeds) -> list[str]:
    """Why an engine cannot be used on this machine; the engine is not deserialized.

    Returns:
        The reasons, each naming both sides; empty when the engine can be used.
    """
    try:
        sidecar = read_sidecar(engine)
        digest = sha256_of(engine)
    except DmddError as error:
        return [error.message]
    except OSError as error:
        return [f"cannot read the engine {engine}: {error.strerror or error}"]
    return _reasons(engine, sidecar, digest, needs)


def load_engine(engine: Path, needs: EngineNeeds, model: Path | None = None) -> tuple[EngineSidecar, bytes]:
    """Read and check an engine, ready to be deserialized.

    The returned bytes are those that were checked, so the file cannot be replaced in between.

    Args:
        model: the bundle, for the command in the message.

    Raises:
        DmddError: it cannot be used; the message names both sides, the fix the command that rebuilds it.
    """
    sidecar: EngineSidecar | None = None
    try:
        sidecar = read_sidecar(engine)
        with open_regular(engine) as stream:
            data = stream.read()
        reasons = _reasons(engine, sidecar, hashlib.sha256(data).hexdigest(), needs)
    except DmddError as error:
        reasons = [error.message]
    except OSError as error:
        reasons = [f"cannot read the engine {engine}: {error.strerror or error}"]
    if sidecar is None or reasons:
        causes = "; ".join(reason.rstrip(".") for reason in reasons)
        raise BackendError(
            f"{engine.name} cannot be used on this machine: {causes}.",
            rebuild_command(sidecar, needs.gpu, model),
        )
    return sidecar, data


def _reasons(engine: Path, sidecar: EngineSidecar, digest: str, needs: EngineNeeds) -> list[str]:
    reasons = _trust(engine, needs.listed_sha256, needs.cache)
    if digest != sidecar.engine_sha256:
        reasons.append(f"{engine.name} was altered or truncated: its SHA-256 differs from its sidecar's")
    elif needs.listed_sha256 is not None and digest != needs.listed_sha256.lower():
        reasons.append(f"{engine.name} is not the file in the bundle's manifest (different SHA-256)")
    if sidecar.onnx_sha256 != needs.onnx_sha256:
        engines, bundles = sidecar.onnx_sha256[:12], needs.onnx_sha256[:12]
        reasons.append(f"it was built from another graph ({engines}); the bundle's is {bundles}")
    if sidecar.library_version != needs.library_version:
        reasons.append(f"it was built with {sidecar.library}; this machine has {needs.library_version}")
    reasons.extend(_hardware(sidecar, needs.gpu))
    if needs.batch is not None and not sidecar.batch.minimum <= needs.batch <= sidecar.batch.maximum:
        reasons.append(f"it supports batches of {sidecar.batch}, not {needs.batch}")
    return reasons


def rebuild_command(sidecar: EngineSidecar | None, gpu: GpuFacts, model: Path | None = None) -> str:
    """The fix that rebuilds an engine like this one for ``gpu``."""
    options: dict[str, object] = {"model": model, "target": sidecar.flavour if sidecar else "tensorrt"}
    if sidecar is not None:
        options |= {"precision": sidecar.precision, "batch": sidecar.batch}
        if sidecar.flavour == "rtx":
            options["gpu"] = gpu.sm
    return f"Rebuild it: {command('export', **options)}"


def is_private(path: Path) -> bool:
    """Whether only the user and root can change a file or folder: not the group, not others."""
    state = path.stat()
    return not state.st_mode & 0o022 and state.st_uid in (0, os.getuid())


def _trust(engine: Path, listed_sha256: str | None, cache: Path | None) -> list[str]:
    """Why the file must not be trusted, apart from its hash."""
    if listed_sha256 is not None:
        return []
    if cache is None or not engine.resolve().is_relative_to(cache.resolve()):
        return [
            f"{engine} is neither in the bundle's manifest nor in the engine cache {cache or ''}".rstrip()
        ]
    for folder in {engine.resolve().parent, cache.resolve()}:
        if not is_private(folder):
            return [f"other users can write to the engine cache {folder}: chmod go-w it, or name another one"]
    return []


def _hardware(sidecar: EngineSidecar, gpu: GpuFacts) -> list[str]:
    if sidecar.flavour == "rtx":
        if gpu.sm in sidecar.sms:
            return []
        return [f"it was built for {', '.join(sidecar.sms)}; this GPU is {gpu.name} ({gpu.sm})"]
    if sidecar.hardware_compatible:
        if int(gpu.sm.removeprefix("sm")) >= 80:
            return []
        return [f"it was built for GPUs from sm80 on; this GPU is {gpu.name} ({gpu.sm})"]
    if gpu.sm in sidecar.sms and gpu.name == sidecar.gpu:
        return []
    return [f"it was built on {sidecar.gpu} ({', '.join(sidecar.sms)}); this GPU is {gpu.name} ({gpu.sm})"]
