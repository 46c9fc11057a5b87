"""What must agree before an engine is deserialised, told in reasons that name both sides.

Deserialising runs native code, so an engine is only used when a bundle's manifest lists it, or when it
lies in this machine's own engine cache and matches its sidecar.
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
    """What an engine must fit to be used here.

    Attributes:
        onnx_sha256: of the bundle's graph that it must have been built from.
        library_version: of TensorRT on this machine (of TensorRT-RTX, for an engine of that flavour).
        gpu: the GPU it would run on.
        listed_sha256: the hash in the bundle's manifest, for an engine that came with the bundle.
        cache: this machine's engine cache, for an engine that was built here.
        batch: the batch size wanted, if one is.
    """

    onnx_sha256: str
    library_version: str
    gpu: GpuFacts
    listed_sha256: str | None = None
    cache: Path | None = None
    batch: int | None = None


def check_engine(engine: Path, needs: EngineNeeds) -> list[str]:
    """Everything that speaks against using an engine here; nothing of it is deserialised.

    Returns:
        One reason each, naming both sides; empty when the engine can be used.
    """
    try:
        sidecar = read_sidecar(engine)
        digest = sha256_of(engine)
    except DmddError as error:
        return [error.message]
    except OSError as error:
        return [f"the engine {engine} cannot be read: {error.strerror or error}"]
    return _reasons(engine, sidecar, digest, needs)


def load_engine(engine: Path, needs: EngineNeeds, model: Path | None = None) -> tuple[EngineSidecar, bytes]:
    """Read an engine that can be used here, ready to be deserialised.

    The bytes returned are the ones that were checked: the file cannot be exchanged in between.

    Args:
        model: the bundle, for the command in the message.

    Raises:
        DmddError: it cannot be used; the message names both sides and the command that rebuilds it.
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
        reasons = [f"the engine {engine} cannot be read: {error.strerror or error}"]
    if sidecar is None or reasons:
        raise BackendError(
            f"{engine.name} cannot be used here: {'; '.join(reasons)}.",
            rebuild_command(sidecar, needs.gpu, model),
        )
    return sidecar, data


def _reasons(engine: Path, sidecar: EngineSidecar, digest: str, needs: EngineNeeds) -> list[str]:
    reasons = _trust(engine, needs.listed_sha256, needs.cache)
    if digest != sidecar.engine_sha256:
        reasons.append(f"{engine.name} was altered or cut short: its SHA-256 is not the one in its sidecar")
    elif needs.listed_sha256 is not None and digest != needs.listed_sha256.lower():
        reasons.append(f"{engine.name} is not the file that the bundle's manifest lists (another SHA-256)")
    if sidecar.onnx_sha256 != needs.onnx_sha256:
        theirs, ours = sidecar.onnx_sha256[:12], needs.onnx_sha256[:12]
        reasons.append(f"it was built from another graph ({theirs}); the bundle's is {ours}")
    if sidecar.library_version != needs.library_version:
        reasons.append(f"it was built with {sidecar.library}; this machine has {needs.library_version}")
    reasons.extend(_hardware(sidecar, needs.gpu))
    if needs.batch is not None and not sidecar.batch.minimum <= needs.batch <= sidecar.batch.maximum:
        reasons.append(f"it takes batches of {sidecar.batch}; {needs.batch} is wanted")
    return reasons


def rebuild_command(sidecar: EngineSidecar | None, gpu: GpuFacts, model: Path | None = None) -> str:
    """The command that builds an engine like this one for ``gpu``, as a sentence."""
    options: dict[str, object] = {"model": model, "target": sidecar.flavour if sidecar else "tensorrt"}
    if sidecar is not None:
        options |= {"precision": sidecar.precision, "batch": sidecar.batch}
        if sidecar.flavour == "rtx":
            options["gpu"] = gpu.sm
    return f"Build it again: {command('export', **options)}"


def is_private(path: Path) -> bool:
    """Whether nobody but the user and root can change a file or a folder: not the group, not others."""
    state = path.stat()
    return not state.st_mode & 0o022 and state.st_uid in (0, os.getuid())


def _trust(engine: Path, listed_sha256: str | None, cache: Path | None) -> list[str]:
    """Why the file must not be trusted; its hash is compared elsewhere."""
    if listed_sha256 is not None:
        return []
    if cache is None or not engine.resolve().is_relative_to(cache.resolve()):
        return [
            f"{engine} is neither in the bundle's manifest nor in the engine cache {cache or ''}".rstrip()
        ]
    for folder in {engine.resolve().parent, cache.resolve()}:
        if not is_private(folder):
            return [f"the engine cache {folder} can be written by others: chmod go-w it, or name another one"]
    return []


def _hardware(sidecar: EngineSidecar, gpu: GpuFacts) -> list[str]:
    if sidecar.flavour == "rtx":
        if gpu.sm in sidecar.sms:
            return []
        return [f"it was built for {', '.join(sidecar.sms)}; this GPU is {gpu.name} ({gpu.sm})"]
    if sidecar.hardware_compatible:
        if int(gpu.sm.removeprefix("sm")) >= 80:
            return []
        return [f"it was built for every GPU from sm80 on; this GPU is {gpu.name} ({gpu.sm})"]
    if gpu.sm in sidecar.sms and gpu.name == sidecar.gpu:
        return []
    return [f"it was built on {sidecar.gpu} ({', '.join(sidecar.sms)}); this GPU is {gpu.name} ({gpu.sm})"]
