"""The targets of ``--target``: the artifacts to write, and what ``auto`` selects on this machine.

    onnx      the bundle's graphs; always written
    tensorrt  an engine for this machine's GPU, in its engine cache
    rtx       one TensorRT-RTX engine for the GPUs named with --gpu: in a new bundle, or in
              the engine cache for an existing one, since a manifest never changes
    triton    a model repository for NVIDIA Triton Inference Server

This module needs neither torch nor onnx: on the edge box engines are built from the bundle alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dmdd_edge.bundle.bundle import ENGINES_FOLDER, GRAPHS, Bundle
from dmdd_edge.errors import BackendError, OptionError
from dmdd_edge.export.engines.artifact import BuiltEngine
from dmdd_edge.export.engines.build import BuildOptions
from dmdd_edge.export.engines.progress import Progress
from dmdd_edge.export.engines.rtx_target import DEFAULT_GPUS, build_rtx, rtx_missing
from dmdd_edge.export.engines.tensorrt_target import build_tensorrt, tensorrt_missing
from dmdd_edge.export.options import TARGETS, target_names
from dmdd_edge.export.triton import repository_from_bundle
from dmdd_edge.runtime.cuda.gpu import probe_gpu
from dmdd_edge.runtime.engines.cache import engine_cache


@dataclass(frozen=True)
class Targets:
    """The targets to write.

    Attributes:
        chosen: in the order in which they are built.
        left_out: target -> why ``auto`` left it out; to be reported.
    """

    chosen: tuple[str, ...]
    left_out: dict[str, str] = field(default_factory=dict)


def choose_targets(text: str) -> Targets:
    """Parse ``--target``: ``auto``, or names separated by commas.

    ``auto`` selects ``onnx``, and ``tensorrt`` and ``rtx`` where this machine can build them.

    Raises:
        DmddError: a name is not a target, or a requested target cannot be built here.
    """
    names = target_names(text)
    missing = {"tensorrt": tensorrt_missing, "rtx": rtx_missing}
    if names == ["auto"]:
        reasons = {target: why for target, ask in missing.items() if (why := ask())}
        if "rtx" in reasons and (no_gpu := probe_gpu().reason):
            reasons["rtx"] = f"{no_gpu}; for the RTX GPUs of other machines give --target rtx"
        chosen = ["onnx", *(target for target in missing if target not in reasons)]
        return Targets(tuple(chosen), reasons | {"triton": "written on request only"})
    for name in names:
        if name in missing and (why := missing[name]()):
            raise BackendError(
                f"--target {name} cannot be built here: {why.rstrip('.')}.", "Choose --target auto."
            )
    return Targets(tuple(target for target in TARGETS if target in {"onnx", *names}))


def with_half_for_int8(
    build: Callable[[BuildOptions], BuiltEngine],
    options: BuildOptions,
    say: Callable[[str], None] = lambda line: None,
) -> BuiltEngine:
    """Build an engine; where an INT8 one cannot be built, say why and build the fp16 one.

    Args:
        build: builds with the options it gets.
        options: how to build.
        say: receives the reason.

    Raises:
        DmddError: the build fails, in INT8 and in half precision.
    """
    if options.precision != "int8":
        return build(options)
    try:
        return build(options)
    except (BackendError, OptionError) as error:
        say(f"WARNING: no INT8 engine, an fp16 engine instead: {error.message}")
    return build(replace(options, precision="fp16"))


def rtx_for_new_bundle(
    options: BuildOptions,
    gpus: str = DEFAULT_GPUS,
    progress: Progress | None = None,
    built: Callable[[BuiltEngine], None] = lambda engine: None,
    say: Callable[[str], None] = lambda line: None,
) -> Callable[[Path], dict[str, Any]]:
    """A function that adds a TensorRT-RTX engine to a bundle that is being written.

    Args:
        options: how to build.
        gpus: as ``--gpu``.
        progress: called during the build.
        built: called with the engine.
        say: receives a line where fp16 takes the place of INT8.

    Returns:
        A function that takes the bundle's unfinished folder and returns facts for ``created_with``.
    """

    def add(folder: Path) -> dict[str, Any]:
        engine = with_half_for_int8(
            lambda how: build_rtx(
                folder / GRAPHS[how.precision],
                folder / ENGINES_FOLDER,
                gpus=gpus,
                options=how,
                progress=progress,
            ),
            options,
            say,
        )
        built(engine)
        return {"tensorrt_rtx": engine.sidecar.library_version}

    return add


def build_for_bundle(
    bundle: Bundle,
    target: str,
    *,
    options: BuildOptions,
    gpus: str = DEFAULT_GPUS,
    cache: Path | str | None = None,
    rebuild: bool = False,
    progress: Progress | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> BuiltEngine:
    """Build an engine from an existing bundle, into the engine cache.

    Args:
        bundle: as loaded and verified; it is not changed.
        target: ``tensorrt`` or ``rtx``.
        options: how to build.
        gpus: as ``--gpu``; for ``rtx``.
        cache: as ``--engine-cache``.
        rebuild: build even if a matching engine exists; for ``tensorrt``.
        progress: called during the build.
        say: receives a line where fp16 takes the place of INT8.

    Raises:
        DmddError: the bundle has no graph of that precision, or the build fails.
    """
    if target not in ("tensorrt", "rtx"):
        raise OptionError(f"{target} is not an engine.", "Choose tensorrt or rtx.")
    bundle.file(GRAPHS[options.precision])

    def build(how: BuildOptions) -> BuiltEngine:
        graph = bundle.file(GRAPHS[how.precision])
        if target == "tensorrt":
            return build_tensorrt(graph, cache=cache, options=how, rebuild=rebuild, progress=progress)
        folder = engine_cache(cache) / bundle.manifest.files[GRAPHS[how.precision]][:16]
        return build_rtx(graph, folder, gpus=gpus, options=how, progress=progress)

    return with_half_for_int8(build, options, say)


def write_triton(bundle: Bundle, out_dir: Path, *, options: BuildOptions, engine: Path | None = None) -> Path:
    """Write the bundle's Triton repository; see :func:`repository_from_bundle`."""
    batch = options.batch if options.batch.maximum > 1 else None
    return repository_from_bundle(bundle, out_dir, engine=engine, batch=batch)
