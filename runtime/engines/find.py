"""Find an engine for a bundle on this GPU: in this machine's engine cache, or in the bundle."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dmdd_edge.bundle.bundle import ENGINES_FOLDER, FP16_GRAPH, FP32_GRAPH, INT8_GRAPH, Bundle
from dmdd_edge.errors import BackendError, DmddError
from dmdd_edge.messages.commands import command
from dmdd_edge.runtime.cuda.gpu import GpuFacts
from dmdd_edge.runtime.engines.cache import cached_engines
from dmdd_edge.runtime.engines.engine import (
    EngineNeeds,
    EngineSidecar,
    load_engine,
    read_sidecar,
    sidecar_path,
)
from dmdd_edge.runtime.engines.sidecar import PRODUCT, Flavour

#: The bundle's graph of each precision; fp16 first, the purpose of an engine. Int8 runs by itself only where
#: an engine of it is the only fast one.
_GRAPHS = {"fp16": FP16_GRAPH, "int8": INT8_GRAPH, "fp32": FP32_GRAPH}

#: Most unsuitable engines that are named.
_NAMED = 3


@dataclass(frozen=True)
class FoundEngine:
    """An engine that can be used on this machine.

    Attributes:
        path: its file.
        sidecar: its description.
        data: its bytes, which were checked.
    """

    path: Path
    sidecar: EngineSidecar
    data: bytes


@dataclass(frozen=True)
class _Candidate:
    path: Path
    sidecar: EngineSidecar
    listed_sha256: str | None


def find_engine(
    bundle: Bundle,
    flavour: Flavour,
    library_version: str,
    gpu: GpuFacts,
    cache: Path | None,
    batch: int | None = None,
    precision: str = "auto",
) -> FoundEngine:
    """Find the engine to run a bundle with; it is not deserialized.

    Fp16 comes before int8, and that before fp32; an engine from the cache before one from the bundle, a newer
    one before an older.

    Args:
        bundle: verified.
        flavour: which library's engines.
        library_version: of that library on this machine.
        gpu: the GPU.
        cache: this machine's engines; None to use only the bundle's.
        batch: the batch size that it must support.
        precision: that it must have; ``auto`` for any.

    Raises:
        DmddError: none is usable; states why each one is not, and how to build one.
    """
    candidates, unreadable = _candidates(bundle, flavour, cache, precision)
    errors: list[DmddError] = []
    for candidate in candidates:
        graph = _GRAPHS[candidate.sidecar.precision]
        needs = EngineNeeds(
            onnx_sha256=bundle.manifest.files.get(graph, ""),
            library_version=library_version,
            gpu=gpu,
            listed_sha256=candidate.listed_sha256,
            cache=None if candidate.listed_sha256 else cache,
            batch=batch,
        )
        try:
            sidecar, data = load_engine(candidate.path, needs, bundle.path)
            _check_size(candidate.path, sidecar, bundle)
        except DmddError as error:
            errors.append(error)
            continue
        return FoundEngine(candidate.path, sidecar, data)
    errors += unreadable
    if errors:
        causes = "; ".join(error.message.rstrip(".") for error in errors[:_NAMED])
        more = f"; and {len(errors) - _NAMED} more" if len(errors) > _NAMED else ""
        raise BackendError(
            f"No usable {PRODUCT[flavour]} engine: {causes}{more}.",
            errors[0].fix or how_to_build(bundle, flavour, gpu, precision),
        )
    where = "" if cache is None else f" or in the engine cache {cache}"
    kind = "" if precision == "auto" else f" {precision}"
    raise BackendError(
        f"No{kind} {PRODUCT[flavour]} engine of {bundle.category} {bundle.version} in the bundle{where}.",
        how_to_build(bundle, flavour, gpu, precision),
    )


def how_to_build(bundle: Bundle, flavour: Flavour, gpu: GpuFacts, precision: str = "auto") -> str:
    """The command that builds an engine of this bundle for this GPU, as a sentence."""
    build = command(
        "export",
        model=bundle.path,
        target=flavour,
        gpu=gpu.sm if flavour == "rtx" else None,
        precision=None if precision == "auto" else precision,
    )
    return f"Run with --build-engine, or build one: {build}"


def _candidates(
    bundle: Bundle, flavour: Flavour, cache: Path | None, precision: str
) -> tuple[list[_Candidate], list[DmddError]]:
    """Every engine of a flavor, in order, and the errors of those with an unreadable sidecar."""
    candidates: list[_Candidate] = []
    unreadable: list[DmddError] = []
    for path, listed in _files(bundle, cache):
        try:
            sidecar = read_sidecar(path)
        except DmddError as error:
            unreadable.append(error)
            continue
        if sidecar.flavour == flavour and precision in ("auto", sidecar.precision):
            candidates.append(_Candidate(path, sidecar, listed))
    return sorted(candidates, key=lambda item: list(_GRAPHS).index(item.sidecar.precision)), unreadable


def _files(bundle: Bundle, cache: Path | None) -> Iterator[tuple[Path, str | None]]:
    """Engine files and, for the bundle's, the hash in its manifest."""
    files = bundle.manifest.files
    if cache is not None:
        for graph in _GRAPHS.values():
            if graph in files:
                yield from ((path, None) for path in cached_engines(cache, files[graph]))
    for name, digest in sorted(files.items()):
        path = Path(name)
        listed = sidecar_path(path).as_posix() in files  # a sidecar that was added by hand does not count
        if path.parts[0] == ENGINES_FOLDER and path.suffix == ".engine" and listed:
            yield bundle.file(name), digest


def _check_size(path: Path, sidecar: EngineSidecar, bundle: Bundle) -> None:
    if sidecar.image_size != bundle.manifest.image_size:
        raise BackendError(
            f"{path.name} was built for images of {sidecar.image_size} pixels, the bundle for "
            f"{bundle.manifest.image_size}."
        )
