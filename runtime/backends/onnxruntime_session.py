"""What the two ONNX Runtime back ends share: opening a session on a bundle's graph, and running it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.errors import BackendError, DmddError
from dmdd_edge.messages.text import visible

#: How much of ONNX Runtime's message is repeated, in characters: it may quote the graph at length.
_SHOWN = 500


def import_onnxruntime(extra: str) -> Any:
    """The module ``onnxruntime``, loaded when it is first needed.

    Raises:
        DmddError: it is not installed; names the ``extra`` that brings it.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise BackendError(
            f"ONNX Runtime cannot be loaded: {error}.", f'Install it: pip install "dmdd-edge[{extra}]"'
        ) from None
    return onnxruntime


def session_options(onnxruntime: Any, threads: int = 0) -> Any:
    """Options that both providers run with; 0 threads leaves the number to ONNX Runtime."""
    options = onnxruntime.SessionOptions()
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors; what matters of the rest is checked and said by us
    # Within a frame threads that wait for each other spin: many operations take some hundredths of a
    # millisecond, and to be woken takes as long (a fifth of the time of a frame on two cores). Between two
    # frames they sleep, since beside a line the processor is shared.
    options.add_session_config_entry("session.intra_op.allow_spinning", "1" if threads != 1 else "0")
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return options


def open_session(onnxruntime: Any, bundle: Bundle, graph: str, options: Any, providers: Sequence[Any]) -> Any:
    """An inference session on a file of the bundle, its input and outputs held against the manifest.

    Raises:
        DmddError: the bundle lacks the graph, the graph cannot be read, or it is not the manifest's.
    """
    path = bundle.file(graph)
    try:
        session = onnxruntime.InferenceSession(str(path), sess_options=options, providers=list(providers))
    except Exception as error:  # ONNX Runtime has a dozen exception types of its own
        raise BackendError(
            f"ONNX Runtime cannot open {path}: {_first_line(error)}", "Export the bundle again."
        ) from error
    _check_names(session, bundle, path)
    return session


def run_session(session: Any, images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """One call of the graph; shapes as in ``Backend.infer``.

    Raises:
        DmddError: ONNX Runtime failed, for instance for want of memory.
    """
    try:
        # Without a copy: ONNX Runtime reads a contiguous array in place and hands out arrays of their own.
        maps, scores = session.run(["anomaly_map", "score"], {"image": images})
    except Exception as error:
        raise failure(error, len(images)) from error
    return maps, scores


def failure(error: Exception, count: int) -> DmddError:
    """What a user is told when ONNX Runtime fails on a batch."""
    return BackendError(
        f"ONNX Runtime failed on a batch of {count}: {_first_line(error)}",
        "Try a smaller batch; if it persists, check the bundle: dmdd-edge models check CATEGORY",
    )


def _check_names(session: Any, bundle: Bundle, path: Path) -> None:
    size = bundle.manifest.image_size
    inputs = {item.name: list(item.shape) for item in session.get_inputs()}
    outputs = {item.name for item in session.get_outputs()}
    # A batch dimension that is a number would take batches of that size alone.
    fits = list(inputs) == ["image"] and inputs["image"][1:] == [size, size, 3]
    if not fits or isinstance(inputs["image"][0], int) or not {"anomaly_map", "score"} <= outputs:
        raise BackendError(
            f"{path} is not the manifest's graph: inputs {inputs}, outputs {sorted(outputs)}.",
            f"It must take `image` (N x {size} x {size} x 3), give `anomaly_map` and `score`: export again.",
        )


def _first_line(error: Exception) -> str:
    """The part of ONNX Runtime's message that says something, without its source file and line."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return visible(re.sub(r"^\[ONNXRuntimeError\] : \d+ : ", "", lines[0]).strip())[:_SHOWN]
