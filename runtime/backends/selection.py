"""Select the backend that runs a bundle, and report why each one before it cannot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from dmdd_edge.arguments import check_instance
from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.errors import BackendError, DmddError, OptionError
from dmdd_edge.messages.suggest import choose
from dmdd_edge.messages.text import visible
from dmdd_edge.runtime.backends import Backend
from dmdd_edge.runtime.backends.onnxruntime_cpu import OnnxRuntimeCpu
from dmdd_edge.runtime.backends.onnxruntime_cuda import OnnxRuntimeCuda
from dmdd_edge.runtime.backends.tensorrt_engine import TensorRt, TensorRtRtx
from dmdd_edge.runtime.options.backend import BackendOptions

#: Every backend, in the order in which ``auto`` tries them.
BACKENDS: dict[str, Callable[[Bundle, BackendOptions], Backend]] = {
    "tensorrt": TensorRt,
    "rtx": TensorRtRtx,
    "cuda": lambda bundle, options: OnnxRuntimeCuda(bundle, precision=options.precision),
    "cpu": lambda bundle, options: OnnxRuntimeCpu(
        bundle, options.threads, slots=options.slots, precision=options.precision
    ),
}

AUTO = "auto"


@dataclass(frozen=True)
class PassedOver:
    """A backend that was tried and cannot run on this machine.

    Attributes:
        name: as ``--backend`` names it.
        reason: why not.
        fix: what to install or build.
    """

    name: str
    reason: str
    fix: str


@dataclass(frozen=True)
class Selection:
    """The backend that runs, and those before it that cannot.

    Attributes:
        backend: ready to run.
        passed_over: one entry per backend that was tried before; empty when the user named one.
    """

    backend: Backend
    passed_over: tuple[PassedOver, ...] = ()


def _ready(name: str, bundle: Bundle, options: BackendOptions) -> Backend:
    """Start a backend and run one black image; a backend that fails at that is closed.

    A missing cuDNN or too little memory shows only when a graph runs. And the first call allocates and
    tunes, which a frame on the line must not wait for.

    Raises:
        DmddError: it cannot be opened, its first inference fails, or the model's results have another shape
            than the manifest says.
    """
    try:
        backend = BACKENDS[name](bundle, options)
        try:
            _warm_up(backend, bundle.manifest.image_size)
        except BaseException:
            backend.close()
            raise
    except DmddError:
        raise
    except Exception as error:  # an incompatible library raises anything
        cause = visible(f"{type(error).__name__}: {error}".strip())
        raise BackendError(
            f"The backend {name} failed: {cause.rstrip('.')}.", "See what works: dmdd-edge doctor"
        ) from error
    return backend


def _warm_up(backend: Backend, size: int) -> None:
    maps, scores = backend.infer(np.zeros((1, size, size, 3), np.uint8))
    outputs = [(str(part.dtype), part.shape) for part in (maps, scores)]
    if outputs != [("float32", (1, size, size)), ("float32", (1,))]:
        actual = " and ".join(f"{dtype} {shape}" for dtype, shape in outputs)
        raise BackendError(
            f"The model returned {actual}; float32 (1, {size}, {size}) and float32 (1,) are expected.",
            "Export the bundle again.",
        )


def select(bundle: Bundle, name: str = AUTO, options: BackendOptions | None = None) -> Selection:
    """Start a backend on a bundle and warm it up.

    Args:
        bundle: a verified bundle.
        name: ``auto`` for the first that works in the order of ``BACKENDS``, or one of its names.
        options: how it runs.

    Raises:
        DmddError: the name is unknown, the named one cannot run, or none can; states what to install.
    """
    check_instance("backend", name, str, f"one of {', '.join([AUTO, *BACKENDS])}")
    check_instance("options", options, (BackendOptions, type(None)), "BackendOptions or None")
    options = options or BackendOptions()
    if bundle.manifest.preprocess.tiling is not None:
        # One image alone has many batches, so that several are worth it also for the lowest latency.
        options = replace(options, slots=max(options.slots, 2))
    if name != AUTO:
        if name not in BACKENDS:
            raise OptionError(f"Unknown backend {name!r}.", choose(name, [AUTO, *BACKENDS]))
        return Selection(_ready(name, bundle, options))
    passed_over: list[PassedOver] = []
    for candidate in BACKENDS:
        try:
            return Selection(_ready(candidate, bundle, options), tuple(passed_over))
        except DmddError as error:
            passed_over.append(PassedOver(candidate, error.message, error.fix))
    reasons = "; ".join(f"{item.name}: {item.reason.rstrip('.')}" for item in passed_over)
    precision = "" if options.precision == "auto" else f" in {options.precision}"
    raise BackendError(
        f"No backend can run this bundle{precision}: {reasons}.",
        passed_over[-1].fix,
    )
