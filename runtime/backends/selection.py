"""Which back end runs a bundle, and why each one before it in the order does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dmdd_edge.bundle import Bundle
from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.backends import Backend
from dmdd_edge.runtime.backends.onnxruntime_cpu import OnnxRuntimeCpu
from dmdd_edge.runtime.backends.onnxruntime_cuda import OnnxRuntimeCuda
from dmdd_edge.runtime.backends.options import BackendOptions
from dmdd_edge.runtime.backends.tensorrt_engine import TensorRt, TensorRtRtx

#: Every back end, in the order in which ``auto`` tries them.
BACKENDS: dict[str, Callable[[Bundle, BackendOptions], Backend]] = {
    "tensorrt": TensorRt,
    "rtx": TensorRtRtx,
    "cuda": lambda bundle, options: OnnxRuntimeCuda(bundle),
    "cpu": lambda bundle, options: OnnxRuntimeCpu(bundle, slots=options.slots),
}

AUTO = "auto"


@dataclass(frozen=True)
class PassedOver:
    """A back end that was tried and cannot run here.

    Attributes:
        name: as ``--backend`` names it.
        reason: why not.
        fix: what to install or build, so that it can.
    """

    name: str
    reason: str
    fix: str


@dataclass(frozen=True)
class Selection:
    """The back end that runs, and those before it that cannot.

    Attributes:
        backend: ready to run.
        passed_over: one entry for each back end that was tried first; empty when one was asked for by name.
    """

    backend: Backend
    passed_over: tuple[PassedOver, ...] = ()


def select(bundle: Bundle, name: str = AUTO, options: BackendOptions | None = None) -> Selection:
    """Start a back end on a bundle.

    Args:
        bundle: a verified bundle.
        name: ``auto`` for the first that works in the order of ``BACKENDS``, or one of its names.
        options: how it is to run.

    Raises:
        DmddError: the name is unknown, the one asked for cannot run, or none can; says what to install.
    """
    options = options or BackendOptions()
    if name != AUTO:
        if name not in BACKENDS:
            raise DmddError(
                f"there is no back end {name!r}.", f"Choose one of {', '.join([AUTO, *BACKENDS])}."
            )
        return Selection(BACKENDS[name](bundle, options))
    passed_over: list[PassedOver] = []
    for candidate, start in BACKENDS.items():
        try:
            return Selection(start(bundle, options), tuple(passed_over))
        except DmddError as error:
            passed_over.append(PassedOver(candidate, error.message, error.fix))
    raise DmddError(
        "no back end can run this bundle: " + " ".join(f"{p.name}: {p.reason}" for p in passed_over),
        passed_over[-1].fix,
    )
