"""``--build-engine``: build an engine for this machine's GPU from the bundle, unless one fits already."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dmdd_edge.errors import BackendError, DmddError

if TYPE_CHECKING:
    from dmdd_edge.bundle.bundle import Bundle
    from dmdd_edge.runtime.backends.tensorrt_engine import EngineMachine
    from dmdd_edge.runtime.options.backend import BackendOptions


def build_missing_engine(path: Path, backend: str, options: BackendOptions) -> None:
    """Build an engine into the engine cache, unless one fits already; needs neither torch nor onnx.

    Args:
        path: the bundle, or its category's folder.
        backend: ``tensorrt`` or ``rtx``; ``auto`` for the first of them that this machine can run.
        options: how the engine will run.

    Raises:
        DmddError: another backend, a machine that cannot run engines, a bundle that does not verify, or a
            build that fails.
    """
    from dmdd_edge.bundle.bundle import Bundle
    from dmdd_edge.runtime.backends.tensorrt_engine import engine_machine

    if backend not in ("auto", "tensorrt", "rtx"):
        raise BackendError(
            f"--build-engine has no effect with --backend {backend}, which does not run engines.",
            "Leave one of the two out.",
        )
    errors: list[DmddError] = []
    for flavour in ("tensorrt", "rtx"):
        if backend not in ("auto", flavour):
            continue
        try:
            machine = engine_machine(flavour, options)
        except DmddError as error:
            errors.append(error)
            continue
        bundle = Bundle.load(path)
        try:
            machine.find(bundle, options.batch, options.precision)
        except DmddError as missing:
            _build(bundle, machine, options, missing.message)
        return
    reasons = "; ".join(error.message.rstrip(".") for error in errors)
    raise BackendError(f"Cannot build an engine on this machine: {reasons}.", errors[0].fix)


def _build(bundle: Bundle, machine: EngineMachine, options: BackendOptions, why: str) -> None:
    from dmdd_edge.cli.console import console
    from dmdd_edge.cli.progress import Work
    from dmdd_edge.export.engines.build import BuildOptions
    from dmdd_edge.export.targets import build_for_bundle
    from dmdd_edge.runtime.engines.engine import BatchProfile

    console.print(f"{why} Building one for {machine.cuda.gpu.name}; this takes minutes, once.")
    count = options.batch or 1
    with Work() as work:
        work.update("building the engine")
        built = build_for_bundle(
            bundle,
            machine.flavour,
            options=BuildOptions(
                precision="fp16" if options.precision == "auto" else options.precision,  # type: ignore[arg-type]
                batch=BatchProfile(minimum=count, optimum=count, maximum=count),
            ),
            gpus=machine.cuda.gpu.sm,
            cache=machine.cache,
            progress=lambda share, phase: work.update("building the engine", share, 1.0, phase),
            say=work.say,
        )
    console.print(f"built {built.path}")
