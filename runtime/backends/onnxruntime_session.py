"""Shared by both ONNX Runtime backends: open a session on a bundle's graph, and run it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.bundle.bundle import GRAPHS, Bundle
from dmdd_edge.errors import BackendError, DmddError
from dmdd_edge.extras import install_command
from dmdd_edge.messages.commands import command
from dmdd_edge.messages.text import visible

#: Most characters of ONNX Runtime's message that are repeated; it may quote the graph at length.
_SHOWN = 500


def import_onnxruntime(extra: str) -> Any:
    """Import the module ``onnxruntime`` on first use.

    Raises:
        DmddError: it is not installed; names the ``extra`` that installs it.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise BackendError(
            f"Cannot load ONNX Runtime: {error}.", f"Install it: {install_command(extra)}"
        ) from None
    return onnxruntime


def chosen_precision(backend: str, wanted: str, bundle: Bundle, offered: tuple[str, ...]) -> str:
    """The precision that a backend runs.

    Args:
        backend: its name.
        wanted: ``auto`` for the first that it offers, or one by name.
        bundle: that must have its graph.
        offered: what the backend can run.

    Raises:
        BackendError: the backend does not offer it, or the bundle does not have it.
    """
    precision = offered[0] if wanted == "auto" else wanted
    if precision not in offered:
        raise BackendError(
            f"The backend {backend} does not run {precision}, only {' and '.join(offered)}.",
            f"Choose --precision {offered[0]}, or a backend that runs engines: --backend tensorrt or rtx.",
        )
    if precision != offered[0] and not bundle.has(GRAPHS[precision]):
        raise BackendError(
            f"{bundle.category} {bundle.version} has no {precision} graph.",
            f"Export it: {command('export', category=bundle.category, precision=precision)}",
        )
    return precision


#: It rounds the biases of INT8 convolutions, which the graph leaves in half precision, to steps that are the
#: product of two scales. In half precision that product underflows, and the biases are lost.
DISABLED_OPTIMIZERS = ("WeightBiasQuantization",)


def session_options(onnxruntime: Any, threads: int = 0) -> Any:
    """Session options of both providers; 0 threads lets ONNX Runtime choose the number."""
    options = onnxruntime.SessionOptions()
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors only; relevant warnings are checked here
    # Within a frame, threads that wait for each other spin: many operations take a few hundredths of a
    # millisecond, and waking a thread takes as long (a fifth of a frame's time on two cores). Between two
    # frames they sleep, since the processor is shared.
    options.add_session_config_entry("session.intra_op.allow_spinning", "1" if threads != 1 else "0")
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return options


def open_session(onnxruntime: Any, bundle: Bundle, graph: str, options: Any, providers: Sequence[Any]) -> Any:
    """Open an inference session on a file of the bundle; check its input and outputs with the manifest.

    Raises:
        DmddError: the bundle lacks the graph, the graph cannot be read, or it does not match the manifest.
    """
    path = bundle.file(graph)
    try:
        session = onnxruntime.InferenceSession(
            str(path),
            sess_options=options,
            providers=list(providers),
            disabled_optimizers=DISABLED_OPTIMIZERS,
        )
    except Exception as error:  # ONNX Runtime has a dozen exception types
        raise BackendError(
            f"ONNX Runtime cannot open {path}: {_first_line(error)}.", "Export the bundle again."
        ) from error
    _check_names(session, bundle, path)
    return session


def run_session(session: Any, images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """One call of the graph; shapes as in ``Backend.infer``.

    Raises:
        DmddError: ONNX Runtime failed, for instance out of memory.
    """
    try:
        # No copies: ONNX Runtime reads a contiguous array in place and returns arrays that own their memory.
        maps, scores = session.run(["anomaly_map", "score"], {"image": images})
    except Exception as error:
        raise failure(error, len(images)) from error
    return maps, scores


def failure(error: Exception, count: int) -> DmddError:
    """The error when ONNX Runtime fails on a batch."""
    return BackendError(
        f"ONNX Runtime failed on a batch of {count}: {_first_line(error)}.",
        "Try a smaller batch; if it persists, check the bundle: dmdd-edge models check CATEGORY",
    )


def _check_names(session: Any, bundle: Bundle, path: Path) -> None:
    size = bundle.manifest.image_size
    inputs = {item.name: list(item.shape) for item in session.get_inputs()}
    outputs = {item.name for item in session.get_outputs()}
    # A fixed batch dimension would accept batches of that size only.
    fits = list(inputs) == ["image"] and inputs["image"][1:] == [size, size, 3]
    if not fits or isinstance(inputs["image"][0], int) or not {"anomaly_map", "score"} <= outputs:
        raise BackendError(
            f"{path} does not match the manifest: inputs {inputs}, outputs {sorted(outputs)}.",
            f"Export again: the graph needs the input `image` (N x {size} x {size} x 3), and the outputs "
            "`anomaly_map` and `score`.",
        )


def _first_line(error: Exception) -> str:
    """The first line of ONNX Runtime's message, without prefix and full stop."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return visible(re.sub(r"^\[ONNXRuntimeError\] : \d+ : ", "", lines[0]).strip())[:_SHOWN].rstrip(".")
